"""Puts what services tell into words for pages."""

import re
from datetime import datetime

_VERSION = re.compile(r"\.v\d+$")


def short(event_type: str) -> str:
    """Name an event without its origin and version: orders.order-placed."""
    return _VERSION.sub("", event_type.removeprefix("sliceline."))


def service_of(source: str) -> str:
    """Name the service that an event is from, or where it is from otherwise."""
    return source.removeprefix("/sliceline/")


def when(text: str) -> datetime:
    """Read a moment as services write it."""
    return datetime.fromisoformat(text)
