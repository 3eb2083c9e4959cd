"""Plays the world outside the shop: payment provider, mail server, staff. Imports nothing of the shop's."""
