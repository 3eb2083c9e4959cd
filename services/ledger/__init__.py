"""Keeps every event of the shop as it came, and tells what became of an order."""
