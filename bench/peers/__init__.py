"""Holds the programs we are measured against, each a fair one as its users would write it."""
