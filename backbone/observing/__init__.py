"""Writes logs, metrics and traces."""
