"""Makes effects in the database of what stands in topics."""
