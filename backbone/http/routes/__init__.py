"""Holds the routes that every process serves beside its own API."""
