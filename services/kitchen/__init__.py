"""Keeps a ticket for every confirmed order in which something is baked."""
