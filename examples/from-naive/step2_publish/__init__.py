"""Step 2: what is on record is published."""
