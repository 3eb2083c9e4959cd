"""Ours and what a user would pick instead, measured side by side: `./sliceline bench`."""
