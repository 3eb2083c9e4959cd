"""Envelopes, payloads and contracts."""
