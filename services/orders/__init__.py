"""Takes orders and follows each one to its end."""
