"""Does work outside a transaction, or later."""
