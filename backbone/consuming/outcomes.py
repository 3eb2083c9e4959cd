"""Tells what became of events here: handled and when, parked, given up, passed over, or still to come."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import asyncpg
import msgspec

from backbone.consuming import inbox, sql
from backbone.consuming.batch import view_of
from backbone.consuming.handlers import Handlers, views_of
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


async def outcomes(database: Database, consumer: str, handlers: Handlers, events: Sequence[Told]) -> list[Outcome]:
    """Tell what became of each of these events, in their order."""
    views = views_of(handlers)
    read = {at: view for at, event in enumerate(events) if (view := view_of(event.type, event.topic, views))}
    identities = {at: inbox.identity(view, events[at]) for at, view in read.items()}
    asked = [(at, *identities[at], events[at].topic, events[at].partition, events[at].offset) for at in read]
    rows = {row["at"]: row for row in await sql.OUTCOMES.fetch(database, consumer=consumer, asked=asked)}
    return [_outcome(rows[at]) if at in rows else Outcome(State.NOT_READ) for at in range(len(events))]


def _outcome(row: asyncpg.Record) -> Outcome:
    if row["parked_at"] is not None:
        state = State.HELD if row["error"] is None else State.PARKED
        return Outcome(state, at=row["parked_at"], error=row["error"])
    if row["discarded_at"] is not None:
        return Outcome(State.DISCARDED, at=row["discarded_at"], error=row["discarded_error"])
    if row["began_at"] is not None:
        return Outcome(State.HANDLED, row["began_at"], row["handled_at"])
    return Outcome(State.PASSED if row["is_passed"] else State.TO_COME)
