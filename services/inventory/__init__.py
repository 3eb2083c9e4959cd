"""Keeps the warehouse: what is there, what is promised to whom, and what an item uses up."""
