"""Work outside a transaction, or later."""
