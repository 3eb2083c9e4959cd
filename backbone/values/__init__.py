"""The kinds of text and number, each defined once."""
