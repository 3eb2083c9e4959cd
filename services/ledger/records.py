"""Reads the archive for whoever feeds it to a service again: records as they came, in the order in which they came.

The order is that in which Kafka took them. So the events of a key are in theirs, also where they lie in two logs since
a topic was made anew; where Kafka's clock went back, their sequence puts them right within a page.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from msgspec.structs import replace

from backbone.events import buses
from backbone.storage.database import Database
from backbone.storage.outbox import counter
from services.ledger import archive, store

LARGEST = 3 * 1024 * 1024
"""Bytes of data and headers from which a page ends: in base64 it still fits into a request."""


Text = Annotated[str, msgspec.Meta(max_length=600, pattern=r"^[^\x00]*$")]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Says how far somebody has read: the place of the last record, when Kafka took it and where."""

    recorded_at: Annotated[datetime, msgspec.Meta(tz=True)]
    topic: Text
    partition: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    id: Text

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


def read_place(text: str) -> Place:
    """Read a place as `str` has written it. Raises ValueError."""
    try:
        found = msgspec.json.decode(text, type=Place)
        return replace(found, recorded_at=found.recorded_at.astimezone(UTC))
    except OverflowError as error:
        raise ValueError(text) from error


class ArchivedRecord(msgspec.Struct, frozen=True):
    """Holds a record as `POST /replays` of a service takes it: bytes become base64."""

    topic: str
    partition: int
    offset: int
    recorded_at: datetime
    key: bytes
    headers: msgspec.Raw
    value: bytes


class Published(msgspec.Struct, frozen=True):
    """Holds what a service has published because of an event."""

    causationid: str
    type: str
    key: str


class RecordPage(msgspec.Struct, frozen=True):
    """Holds records in their order, what one service has published because of them, and where to go on."""

    events: Sequence[ArchivedRecord]
    published: Sequence[Published]
    count: int
    next: str | None
    """After what there is more; None at the end."""
    last: str | None
    """After what will come later; None where there is nothing."""


class Last(msgspec.Struct, frozen=True):
    """Holds the last number that a service has given to an event of a key, under what its counter is called."""

    counter: str
    last: int


@dataclass(frozen=True)
class Wanted:
    """Says which records are wanted: of these types, or whatever lies in these topics. Neither: all."""

    types: Sequence[str] = ()
    topics: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What the statements are given."""
        return {
            "types": list(self.types),
            "topics": [topic.replace(buses.EVERYBODY, "%") for topic in self.topics],
            "every": not self.types and not self.topics,
            "since": self.since,
            "until": self.until,
        }


async def page(database: Database, wanted: Wanted, after: Place | None, limit: int, service: str | None) -> RecordPage:
    """Return at most `limit` records after a place, and what `service` has published because of them."""
    place = msgspec.structs.asdict(after) if after else None
    found = await store.list_records(database, wanted.arguments, place, limit)
    rows = list(_fitting(found))
    is_last = len(found) < limit and len(rows) == len(found)
    told = await _published(database, rows, f"/sliceline/{service}") if rows and service else []
    events = [_record(row) for row in in_sequence(rows)]
    last = str(_place(rows[-1])) if rows else None
    return RecordPage(events, told, len(events), None if is_last else last, last)


async def before(database: Database, source: str, event: str, limit: int) -> RecordPage | None:
    """Return the last records of an event's key and topic before it, in their order; None where it is not kept."""
    found = await archive.find(database, source, event)
    if found is None:
        return None
    rows = await store.list_records_before(database, found, limit)
    events = [_record(row) for row in _fitting(rows)][::-1]
    return RecordPage(events, (), len(events), None, None)


async def count(database: Database, wanted: Wanted) -> int:
    """Return how many records are wanted."""
    return await store.count_records(database, wanted.arguments)


async def count_incomplete_keys(database: Database, topics: Sequence[str]) -> int:
    """Return of how many keys in these topics not every event is kept, from their first one on."""
    return await store.count_incomplete_keys(database, topics)


async def last_numbers(database: Database, service: str, after: tuple[str, str], limit: int) -> list[asyncpg.Record]:
    """Return the last sequence that a service has given in each topic, by key and topic, after those of `after`."""
    return await store.list_last_numbers(database, f"/sliceline/{service}", after, limit)


def last_of(row: asyncpg.Record) -> Last:
    """Name a last sequence as its service counts it."""
    bus = buses.bus_of(row["topic"])
    return Last(counter(bus.name, row["key"]) if bus else row["key"], row["last"])


def in_sequence(rows: Sequence[Any]) -> list[Any]:
    """Put the events of each key and topic into the order of their sequence, in the places that they have together."""
    places: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        places[row["source"], row["topic"], row["key"]].append(at)
    ordered = list(rows)
    for each in places.values():
        for at, row in zip(each, sorted((rows[at] for at in each), key=lambda row: row["sequence"]), strict=True):
            ordered[at] = row
    return ordered


async def _published(database: Database, rows: Collection[Any], source: str) -> list[Published]:
    stories, ids = {row["correlationid"] for row in rows}, [row["id"] for row in rows]
    found = await store.list_published(database, source, stories, ids)
    return [Published(row["causationid"], row["type"], row["key"]) for row in found]


def _fitting(rows: Sequence[Any]) -> Iterator[Any]:
    """Yield the first rows, as many as fit into a page; at least one."""
    size = 0
    for row in rows:
        size += len(row["value"]) + len(row["headers"])
        if size > LARGEST and size > len(row["value"]) + len(row["headers"]):
            return
        yield row


def _record(row: Any) -> ArchivedRecord:
    return ArchivedRecord(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        recorded_at=row["recorded_at"],
        key=row["record_key"],
        headers=msgspec.Raw(_headers(row["headers"])),
        value=row["value"],
    )


def _headers(stored: str) -> bytes:
    """Return headers as JSON. What has a NUL in its name no body may hold, and nobody reads."""
    if "\\u0000" not in stored:
        return stored.encode()
    return msgspec.json.encode([each for each in msgspec.json.decode(stored) if "\x00" not in each[0]])


def _place(row: Any) -> Place:
    return Place(row["recorded_at"], row["topic"], row["partition"], row["offset"], row["id"])
