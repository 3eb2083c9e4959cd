"""Handles connections: what comes before a request and after an answer."""
