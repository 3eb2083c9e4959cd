"""Shows what others build on the backbone, outside the shop. Nothing of the shop imports it."""
