"""Defines how rows of a log of acts hang together, and the event that tells of them: each act is in one, once."""

from hashlib import sha256
from typing import ClassVar

from backbone.events.payload import Payload


class ActsRecorded(Payload, frozen=True, kw_only=True):
    """Rows were added to the log, from `first` to `last`. Each service names the type of its own; its name is the key.

    It is on a bus of its own, which the archive alone reads: rules and webhooks have no part in it.
    """

    BUS: ClassVar[str] = "audit"
    first: int
    last: int
    previous: str
    """The hash of the row before the first."""
    hash: str
    """The hash of the last row."""
    acts: tuple[str, ...]
    """The entries, as they are hashed."""


BEGINNING = "0" * 64
"""What stands for the hash before the first row."""


def hash_of(previous: str, number: int, entry: str) -> str:
    """Return what a row's hash has to be; the database computes it in `audit_chain` (migration 0019)."""
    return sha256(f"{previous}\n{number}\n{entry}".encode()).hexdigest()
