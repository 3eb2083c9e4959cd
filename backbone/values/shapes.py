"""Checks the shape of addresses without showing them, for they may hold a password. Standard library only."""

import re
from urllib.parse import urlsplit


def postgres_url(given: str) -> str:
    """Check the address of a database. Raises ValueError."""
    return of_shape(given, ("postgresql",), "postgresql://role:password@host:port/name")


def of_shape(given: str, schemes: tuple[str, ...], shape: str) -> str:
    """Check an address. Raises ValueError."""
    try:
        parts = urlsplit(given)
        sound = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", given)
    except ValueError:  # a port that is no number, or over 65535
        sound = False
    if not sound:
        raise ValueError(f"must be of the shape {shape}")
    return given
