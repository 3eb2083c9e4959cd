"""Measures ours and what a user would pick instead, side by side: `./sliceline bench`."""
