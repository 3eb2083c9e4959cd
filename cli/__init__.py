"""The commands of ./sliceline, one file each."""
