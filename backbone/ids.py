"""Makes identifiers."""

import uuid_utils


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562): unique anywhere, and sorted by the time it was made."""
    return str(uuid_utils.uuid7())
