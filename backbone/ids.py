"""Makes identifiers."""

from datetime import UTC, datetime, timedelta

import uuid_utils

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562): unique anywhere, and sorted by the time it was made."""
    return str(uuid_utils.uuid7())


def first_id_of(moment: datetime, further: timedelta = timedelta(0)) -> str:
    """Return what no id made at a moment, or so much `further`, sorts before, and every one made earlier does."""
    milliseconds = max(0, (moment - _BEGINNING + further) // timedelta(milliseconds=1))
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}"
