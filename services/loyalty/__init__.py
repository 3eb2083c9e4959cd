"""Credits customers with points for completed orders."""
