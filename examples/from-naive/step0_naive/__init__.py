"""Step 0: everything while the customer waits."""
