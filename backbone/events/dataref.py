"""Names and verifies the data of an event that travels apart from it: CloudEvents' extension `dataref` (claim check).

A reference is relative to the store that all services of a shop share, and says by itself what lies there: whose it is,
the day on which it was put there, and length and SHA-256 of the data.
https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/dataref.md
"""

import re
from datetime import date
from hashlib import sha256

import msgspec

from backbone.errors import SlicelineError

LARGEST_INLINE = 64 * 1024
"""Bytes of data that an event carries itself; what has more travels apart."""
HEADER = "ce_dataref"
_REFERENCE = re.compile(r"[a-z][a-z0-9-]*/[0-9]{4}-[0-9]{2}-[0-9]{2}/([1-9][0-9]{0,6})-([0-9a-f]{64})\.json")


class ForeignReference(SlicelineError):
    """The event's data lies at an address that is none of ours: nothing is fetched from there."""


class Corrupt(SlicelineError):
    """The event's data is not what was put there."""


class Reference(msgspec.Struct, frozen=True):
    """Says where data lies and what it has to be."""

    name: str
    length: int
    digest: str

    def check_length(self, length: int) -> None:
        """Hold the length of what was found against what was put there. Raises Corrupt."""
        if length != self.length:
            raise Corrupt(f"The event's data at {self.name} is {length} bytes long, {self.length} were put there.")

    def check(self, data: bytes) -> None:
        """Hold data against what was put there. Raises Corrupt."""
        self.check_length(len(data))
        if sha256(data).hexdigest() != self.digest:
            raise Corrupt(f"The event's data at {self.name} is not what was put there: its SHA-256 is another.")


def reference_to(data: bytes, service: str, day: date) -> str:
    """Make the reference to data that a service puts into the store on this day; the same data has the same one."""
    return f"{service}/{day}/{len(data)}-{sha256(data).hexdigest()}.json"


def parse(text: str) -> Reference:
    """Read a reference. Raises ForeignReference for an address that is none of ours, wherever it leads."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ForeignReference(f"The event's data lies at {text!r}, which is none of ours: nothing is fetched there.")
    return Reference(text, int(match[1]), match[2])
