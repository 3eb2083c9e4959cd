"""Stores the occurrences that a consumer has handled, or given up (the inbox), each committed with its effect."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import asyncpg

from backbone.consuming import sql
from backbone.consuming.batch import Incoming
from backbone.errors import SlicelineError
from backbone.events.envelope import from_record, is_type, name_without_version
from backbone.events.payload import Payload, Recorded, Unread
from backbone.events.records import Record
from backbone.storage.database import Tx


async def deduplicate(tx: Tx, consumer: str, incoming: Sequence[Incoming]) -> list[Incoming]:
    """Add the occurrences of these events and return the new ones, in order; all versions of one count once.

    Of what is taken unread each version counts: its reader wants all that was said. What is kept counts by its id.
    """
    if not incoming:
        return []
    first = {_identity(each): at for at, each in reversed(list(enumerate(incoming)))}
    rows = await _add(tx, consumer, incoming, first)
    return [incoming[at] for at in sorted(first[row["name"], row["occurrence"]] for row in rows)]


async def _add(
    tx: Tx, consumer: str, incoming: Sequence[Incoming], first: Mapping[tuple[str, str], int]
) -> list[asyncpg.Record]:
    """Add occurrences and return the new ones; where an event took several attempts, these are noted with it."""
    if not any(each.tried for each in incoming):
        return await sql.INBOX_ADD.fetch(tx.raw, consumer=consumer, happening=first)
    happening = [(*identity, *_attempts(incoming[at])) for identity, at in first.items()]
    return await sql.INBOX_ADD_TRIED.fetch(tx.raw, consumer=consumer, happening=happening)


def _attempts(incoming: Incoming) -> tuple[int, str] | tuple[None, None]:
    return incoming.tried.stored() if incoming.tried else (None, None)


async def known(tx: Tx, consumer: str, incoming: Sequence[Incoming]) -> set[int]:
    """Return which of these events, by their place among them, tell of an occurrence that is in the inbox."""
    events = {at: _identity(each) for at, each in enumerate(incoming) if each.event}
    if not events:
        return set()
    rows = await sql.INBOX_KNOWN.fetch(tx.raw, consumer=consumer, happening=set(events.values()))
    there = {(row["name"], row["occurrence"]) for row in rows}
    return {at for at, identity in events.items() if identity in there}


async def give_up(tx: Tx, consumer: str, records: Iterable[Record]) -> None:
    """Add the occurrences that records tell of, in whatever version and however often they come again.

    For a reader that takes events unread, in this version, or this event alone. A record that is no event has none.
    """
    told = sorted({each for record in records for each in _told_of(record)})
    await sql.INBOX_ADD.execute(tx.raw, consumer=consumer, happening=told)


async def take_back(tx: Tx, consumer: str, given_up: Iterable[tuple[Record, datetime]]) -> None:
    """Delete the occurrences that were added when these records were given up, at their times, and none from before."""
    told = {(*each, at) for record, at in given_up for each in _told_of(record)}
    await sql.INBOX_FORGET.execute(tx.raw, consumer=consumer, told=sorted(told))


def _told_of(record: Record) -> list[tuple[str, str]]:
    try:
        event = from_record(record.key, record.value, record.headers)
    except SlicelineError:
        return []
    names = [event.type, *([name_without_version(event.type)] if is_type(event.type) else [])]
    return [(event.source, event.id), *((name, event.occurrenceid) for name in names)]


async def without_discarded(tx: Tx, consumer: str, incoming: Sequence[Incoming]) -> list[Incoming]:
    """Return the records without broken ones that were discarded, so that rereading a log parks none of them again."""
    broken = [at for at, each in enumerate(incoming) if each.broken]
    if not broken:
        return list(incoming)
    records = [incoming[at].record for at in broken]
    rows = await sql.DISCARDED_PLACES.fetch(tx.raw, consumer=consumer, broken=records)
    gone = {broken[row["ordinal"] - 1] for row in rows}
    return [each for at, each in enumerate(incoming) if at not in gone]


def _identity(incoming: Incoming) -> tuple[str, str]:
    assert incoming.event is not None  # noqa: S101  only events come here
    return identity(type(incoming.event.data), incoming.event)


class Identified(Protocol):
    """What an event is known by."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def occurrenceid(self) -> str: ...


def identity(view: type[Payload], event: Identified) -> tuple[str, str]:
    """Return name and occurrence by which an event is noted that is read in this view."""
    if issubclass(view, Recorded):
        return event.source, event.id
    name = event.type if issubclass(view, Unread) else name_without_version(event.type)
    return name, event.occurrenceid
