"""Keeps what customers are about to order, and has orders make an order of it."""
