"""Says which events are wanted, and from which place on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from backbone.patterns.index import Index
from backbone.patterns.pattern import Pattern
from backbone.values import readable
from services.ledger.kept import Kept, as_patterns_see_it

K = TypeVar("K", bound=Kept)


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Says where an event stands: by its time, then its id and source. `str` writes it, `read_place` reads it."""

    time: datetime
    id: str
    source: str

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True)
class Filters:
    """Says which events are wanted; None is any. `since` is the first moment, `until` the first one after."""

    id: str | None = None
    type: str | None = None
    source: str | None = None
    topic: str | None = None
    subject: str | None = None
    key: str | None = None
    correlationid: str | None = None
    traceid: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    pattern: Pattern | None = None
    newest_first: bool = False

    @property
    def looks_inside(self) -> bool:
        """Tell whether events have to be looked at one by one, since no index leads to those that are wanted."""
        return any(each is not None for each in (self.topic, self.subject, self.text, self.pattern))

    def sift(self, found: Sequence[K]) -> list[K]:
        """Return those that are wanted of what the indexes have led to."""
        return [each for each in found if self._wants(each)]

    def _wants(self, event: Kept) -> bool:
        return (
            self.topic in (None, event.topic)
            and self.subject in (None, event.subject)
            and (self.text is None or self.text.casefold() in event.value.decode(errors="replace").casefold())
            and (self.pattern is None or self._matches(event))
        )

    def _matches(self, event: Kept) -> bool:
        """Hold an event against the pattern; no rule is ever shown one whose data nobody can read."""
        try:
            return bool(self._index.match(as_patterns_see_it(event, readable.read)))
        except readable.Unreadable:
            return False

    @cached_property
    def _index(self) -> Index[int]:
        return Index([(0, self.pattern)] if self.pattern else [])


def read_place(text: str) -> Place:
    """Read a place as `str` has written it. Raises ValueError."""
    try:
        found = msgspec.json.decode(text, type=Place)
        return replace(found, time=found.time.astimezone(UTC))
    except (msgspec.MsgspecError, OverflowError) as error:
        raise ValueError(text) from error


def place_of(event: Kept) -> Place:
    """Say where an event stands."""
    return Place(event.time, event.id, event.source)
