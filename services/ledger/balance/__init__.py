"""Holds what became of events at every consumer against what the archive has; the same rooms as a service."""
