"""Defines the kinds of text and number, each once."""
