"""Tells once when stock crosses a line, whichever channel made it cross."""
