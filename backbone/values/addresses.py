"""Checks addresses that are settings: one that could never be reached is refused at the start, in plain words."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

LARGEST_PORT = 65535
_SERVER = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s\[\]:/@,]+):([0-9]{1,5})")


def _bootstrap(given: str) -> str:
    for server in given.split(","):
        found = _SERVER.fullmatch(server.strip())
        if found is None or not 1 <= int(found[1]) <= LARGEST_PORT:
            raise ValueError(f"{server!r} is no host:port; servers are separated by commas")
    return given


def _postgres(given: str) -> str:
    return _sound(given, ("postgresql",), "postgresql://role:password@host:port/name")


def http_url(given: str) -> str:
    """Check the address of something that is called over HTTP. Raises ValueError."""
    return _sound(given, ("http", "https"), "http://host:port or https://host:port")


def _sound(given: str, schemes: tuple[str, ...], shape: str) -> str:
    """Check an address; what is wrong is said without showing it, for it may hold a password."""
    try:
        parts = urlsplit(given)
        sound = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", given)
    except ValueError:  # a port that is no number, or over 65535
        sound = False
    if not sound:
        raise ValueError(f"must be of the shape {shape}")
    return given


Bootstrap = Annotated[str, AfterValidator(_bootstrap)]
PostgresUrl = Annotated[str, AfterValidator(_postgres)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
