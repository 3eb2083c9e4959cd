"""Payments: charges each order once, at the provider's pace, and undoes it when the order ends otherwise."""
