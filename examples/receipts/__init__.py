"""Mails a receipt for each confirmed order, and moves from version 1 of that event to version 2 in three releases."""
