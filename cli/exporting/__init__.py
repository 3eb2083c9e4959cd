"""Writes events as Parquet: plans what to read, reads it, types it by its contract, and keeps account of it.

Only this folder imports pyarrow, which only `./sliceline export` installs.
"""
