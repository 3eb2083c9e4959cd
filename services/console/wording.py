"""Puts what services tell into words for pages."""

import re
from datetime import datetime

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VERSION = re.compile(r"\.v\d+$")


def short(event_type: str) -> str:
    """Name an event without its origin and version: orders.order-placed."""
    return _VERSION.sub("", event_type.removeprefix("sliceline."))


def service_of(source: str) -> str:
    """Name the service that an event is from, or where it is from otherwise."""
    return source.removeprefix("/sliceline/")


def is_id(text: str) -> bool:
    """Tell whether a text has the form of our ids: UUIDs (RFC 9562), written small."""
    return _ID.fullmatch(text) is not None


def when(text: str) -> datetime:
    """Read a moment as services write it."""
    return datetime.fromisoformat(text)
