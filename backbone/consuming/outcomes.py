"""Tells what became of events here: handled and when, parked, given up, passed over, or still to come."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec

from backbone.consuming import inbox, sql
from backbone.consuming.batch import view_of
from backbone.consuming.handlers import Handlers, views_of
from backbone.consuming.replaying import own_log
from backbone.consuming.tried import Fault
from backbone.storage.database import Database


class Told(inbox.Identified, Protocol):
    """An event as somebody else has seen it: what it is known by, and where it lies."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class State(StrEnum):
    """How far a service is with an event."""

    NOT_READ = "not read"
    """It has no handler for events of this type."""
    HANDLED = "handled"
    PARKED = "parked"
    """It could not be handled, for an error; later events of its key wait."""
    HELD = "held"
    """It waits behind one of its key that is parked."""
    DISCARDED = "discarded"
    PASSED = "passed"
    """The place in the topic is behind it, and nothing more is known: left out, or handled so long ago."""
    TO_COME = "to come"


class Outcome(msgspec.Struct, frozen=True):
    """Holds what became of one event."""

    state: State
    began_at: datetime | None = None
    """When the batch began in which it was handled."""
    handled_at: datetime | None = None
    """When that was committed; not known where Postgres keeps no account of it."""
    at: datetime | None = None
    """Since when it is parked or held, or when it was discarded."""
    error: str | None = None
    attempts: int | None = None
    """How often it was tried, where that is known; a letter that only waits was not."""
    errors: tuple[Fault, ...] = ()
    """The last errors of those attempts that failed."""


async def outcomes(database: Database, consumer: str, handlers: Handlers, events: Sequence[Told]) -> list[Outcome]:
    """Tell what became of each of these events, in their order."""
    views = views_of(handlers)
    read = {at: view for at, event in enumerate(events) if (view := view_of(event.type, event.topic, views))}
    identities = {at: inbox.identity(view, events[at]) for at, view in read.items()}
    asked = [(at, *identities[at], *_place(events[at])) for at in read]
    rows = {row["at"]: row for row in await sql.OUTCOMES.fetch(database, consumer=consumer, asked=asked)}
    return [_outcome(rows[at]) if at in rows else Outcome(State.NOT_READ) for at in range(len(events))]


def _place(event: Told) -> tuple[str, int, int, UUID]:
    return event.topic, event.partition, event.offset, own_log(event.source.encode(), event.id.encode())


def _outcome(row: asyncpg.Record) -> Outcome:
    if row["parked_at"] is not None:
        state = State.HELD if row["error"] is None else State.PARKED
        return _given_up(state, row, row["parked_at"], row["error"], row["failed_at"])
    if row["discarded_at"] is not None:
        failed_at = row["discarded_failed_at"]
        return _given_up(State.DISCARDED, row, row["discarded_at"], row["discarded_error"], failed_at)
    if row["began_at"] is not None:
        errors = msgspec.convert(row["errors"] or [], tuple[Fault, ...])
        return Outcome(State.HANDLED, row["began_at"], row["handled_at"], attempts=row["attempts"] or 1, errors=errors)
    return Outcome(State.PASSED if row["is_passed"] else State.TO_COME)


def _given_up(
    state: State, row: asyncpg.Record, at: datetime, error: str | None, failed_at: datetime | None
) -> Outcome:
    errors = () if error is None else (Fault(error, failed_at),)
    return Outcome(state, at=at, error=error, attempts=row["attempts"], errors=errors)
