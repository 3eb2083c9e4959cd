"""Reads W3C Trace Context's `traceparent`, strictly and in one place: https://www.w3.org/TR/trace-context/

Everything that comes from outside (a request's header, an event's attribute, a row of an older release) is read here,
and what is carried on is written here, never the text that came.
"""

import re
from collections.abc import Sequence
from random import getrandbits
from typing import NamedTuple

# Lower-case hexadecimal. Of a later version its first four fields count, whatever follows the dash after them.
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED = 0x01
# What we write ourselves, and most others do: it need not be taken apart to be known as sound.
_OURS = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")


class Traceparent(NamedTuple):
    """Holds the trace that something belongs to, and the span that it follows from."""

    trace_id: int
    span_id: int
    is_sampled: bool = False

    def __str__(self) -> str:
        """Write it as it travels: version 00, with the one flag that we know."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.is_sampled:02x}"

    def next_step(self) -> "Traceparent":
        """Make a span of our own in the same trace; nobody records it."""
        return Traceparent(self.trace_id, getrandbits(64) or 1)


def parse(given: str | None) -> Traceparent | None:
    """Read a traceparent; one that is not valid counts as none, and a new trace begins."""
    match = _FORM.fullmatch(given.strip(" \t")) if given else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    found = Traceparent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))
    return found if found.trace_id and found.span_id else None


def as_we_write_it(given: bytes) -> str | None:
    """Bring a traceparent to the form that we carry on; None where it is not valid."""
    if _OURS.fullmatch(given):
        return given.decode()
    known = parse(given.decode("latin-1"))
    return str(known) if known else None


def parse_headers(given: Sequence[bytes]) -> Traceparent | None:
    """Read a request's headers of that name: more than one is none, for nobody knows which to believe."""
    return parse(given[0].decode("latin-1")) if len(given) == 1 else None


def begin() -> Traceparent:
    """Make the first step of a trace that nobody records."""
    return Traceparent(getrandbits(128) or 1, getrandbits(64) or 1)
