"""The commands of ./sliceline, one file each."""

NOTE = "note: "
"""Begins a line of a step that somebody should read, also when all went well."""
