"""Publishes events from the outbox to Kafka."""
