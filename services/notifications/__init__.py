"""Sends one mail per happening, to the customer or to the shop."""
