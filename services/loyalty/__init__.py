"""Points for completed orders."""
