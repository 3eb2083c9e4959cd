"""Defines what travels between services: payloads as a writer says them, events as a handler sees them."""

from datetime import datetime
from typing import ClassVar, Generic, TypeVar

import msgspec

from backbone.events.deprecation import Deprecation
from backbone.events.records import Record
from backbone.events.topics import DEFAULT_BUS


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Is what an event says. Its writer declares it whole, a reader only the fields it uses, under the same TYPE.

    BUS names the bus that it is on, one of `buses.toml`.
    """

    TYPE: ClassVar[str]
    BUS: ClassVar[str] = DEFAULT_BUS


class Unread(Payload, frozen=True, kw_only=True):
    """Is what an event says as it came: its data as JSON text, held against no contract.

    Its TYPE is the name of a topic, or stands for many: it is the view of all events there, whatever their type.
    """

    topic: str
    dataschema: str
    text: bytes


def every_event_of(topic: str) -> type[Unread]:
    """Make the view of a reader that takes every event of a topic."""

    class Every(Unread, frozen=True, kw_only=True):
        TYPE: ClassVar[str] = topic

    return Every


class Recorded(Unread, frozen=True, kw_only=True):
    """Is what an event says as it came, with the record it came in: for whoever keeps it byte for byte.

    Each event counts once by what CloudEvents knows it by, its source and id: two that tell of one thing are two.
    """

    record: Record


def every_record_of(topic: str) -> type[Recorded]:
    """Make the view of a reader that keeps every event of a topic."""

    class Every(Recorded, frozen=True, kw_only=True):
        TYPE: ClassVar[str] = topic

    return Every


P = TypeVar("P", bound=Payload)


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Holds what led to a transaction; everything published in it carries this on."""

    correlationid: str
    causationid: str | None = None
    traceparent: str | None = None

    def within(self, story: str | None) -> "Cause":
        """Return this cause with the correlation id of what began earlier; `None` keeps its own."""
        return Cause(story, self.causationid, self.traceparent) if story else self


class Event(msgspec.Struct, Generic[P], frozen=True, kw_only=True, gc=False):
    """Holds an event as a handler gets it: the envelope's attributes and the reader's view of the data."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    key: str
    correlationid: str
    causationid: str | None
    occurrenceid: str
    sequence: int
    traceparent: str | None
    deprecation: Deprecation | None = None
    data: P

    @property
    def cause(self) -> Cause:
        """The cause of whatever is published on this event."""
        return Cause(self.correlationid, self.id, self.traceparent)
