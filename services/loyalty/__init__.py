"""Credits customers with points for completed orders, and for the trouble with some."""
