"""Holds the version of Sliceline, which stands here and nowhere else."""

VERSION = "0.1.0"
