"""Sends events to addresses outside, signed, until each is taken."""
