"""Holds the commands of ./sliceline, one file each."""
