"""Has customers reminded, once, of a cart that they left for long."""
