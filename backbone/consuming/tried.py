"""Holds the attempts at an event that failed before it was handled. What passes at the first attempt has none."""

from datetime import datetime

import msgspec

KEPT = 3
"""So many errors are kept of an event, the last ones."""


class Fault(msgspec.Struct, frozen=True):
    """Is the error of one attempt; of several events that were tried `together` any may have caused it."""

    error: str
    at: datetime | None
    together: int = 1


class Tried(msgspec.Struct, frozen=True):
    """Holds how many attempts have failed, and their last errors, the newest last."""

    times: int = 0
    errors: tuple[Fault, ...] = ()

    def again(self, fault: Fault) -> "Tried":
        """Count one more that failed."""
        return Tried(self.times + 1, (*self.errors, fault)[-KEPT:])

    def stored(self) -> tuple[int, str]:
        """Return the attempts that it took, the one that succeeded among them, and the errors as JSON."""
        return self.times + 1, msgspec.json.encode(self.errors).decode()
