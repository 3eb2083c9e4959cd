"""Defines envelopes, payloads and contracts."""
