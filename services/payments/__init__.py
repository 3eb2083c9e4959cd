"""Charges each order once, at the provider's pace; undoes it when the order is not completed."""
