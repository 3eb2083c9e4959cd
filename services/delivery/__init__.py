"""Brings orders to their customers, by courier or over the counter."""
