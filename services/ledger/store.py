"""The archive in the database: events as they came, and the partitions they lie in."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, select, tuple_

from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows
from services.ledger.filters import Filters, Place
from services.ledger.kept import Archived, Kept, day_of, headers_as_json, headers_of
from services.ledger.tables import events

E = events.c
_NAME = "events_%Y%m%d"
_ORDER = (E.time, E.id, E.source)
_OF_ONE = (E.time, E.topic, E.sequence, E.id)

# Sorted, so that two replicas with the same events never wait for each other in a ring.
_ADD_ALL = Statement(
    """
    INSERT INTO events (:new.columns, archived_at) SELECT :new.*, :now::timestamptz FROM :new ORDER BY id, source
    ON CONFLICT DO NOTHING
    """,
    new=rows(events, without=("archived_at",), headers=lambda event: headers_as_json(event.headers)),
)
_PARTITIONS = Statement(
    """
    SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'events'::regclass AND c.relname <> 'events_rest'
    """
)
_DAYS_OF_REST = Statement("SELECT DISTINCT day FROM events_rest WHERE day BETWEEN :first AND :last")
_FORGET_OF_REST = Statement("DELETE FROM events_rest WHERE archived_at < :before")


async def add_all(tx: Tx, new: Sequence[Kept]) -> None:
    """Keep events; one that is kept already stays as it is."""
    await _ADD_ALL.execute(tx.raw, new=new, now=tx.now)


async def days(session: Session) -> set[date]:
    """Name the days that have a partition."""
    return {datetime.strptime(row["relname"], _NAME).date() for row in await _PARTITIONS.fetch(session)}


async def days_of_rest(session: Session, first: date, last: date) -> set[date]:
    """Name the days between these of which there are events and no partition."""
    return {row["day"] for row in await _DAYS_OF_REST.fetch(session, first=first, last=last)}


async def make(tx: Tx, wanted: Collection[date]) -> None:
    """Make the partitions of these days, and move there what came without one.

    Nobody writes meanwhile: an event that was on its way to the rest would find that it does not belong there any more.
    """
    await tx.raw.execute("LOCK TABLE ONLY events IN SHARE ROW EXCLUSIVE MODE")
    for day in sorted(set(wanted) - await days(tx.raw)):
        await tx.raw.execute(_making(day))


def _making(day: date) -> str:
    name = day.strftime(_NAME)
    return f"""
    CREATE TABLE {name} (LIKE events);
    WITH moved AS (DELETE FROM events_rest WHERE day = '{day}' RETURNING *) INSERT INTO {name} SELECT * FROM moved;
    ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')
    """  # noqa: S608  a date


async def drop(tx: Tx, unwanted: Collection[date]) -> None:
    """Drop the partitions of these days."""
    for day in sorted(unwanted):
        await tx.raw.execute(f"DROP TABLE IF EXISTS {day.strftime(_NAME)}")


async def forget_rest(tx: Tx, before: datetime) -> int:
    """Delete what was archived before a time and belongs to no partition's day; return how many events."""
    return await _FORGET_OF_REST.execute(tx.raw, before=before)


async def find(database: Database, id: str) -> list[Archived]:  # noqa: A002  the attribute's name
    """Give the events of an id: one for each source that has given it."""
    return await _fetch(database, select(events).where(E.id == id).order_by(E.source, E.time))


async def find_key(database: Database, key: str, limit: int | None) -> list[Archived]:
    """Give the events of a key, in whatever topic, the oldest first."""
    return await _fetch(database, select(events).where(E.key == key).order_by(*_OF_ONE).limit(limit))


async def find_stories(database: Database, stories: Collection[str], limit: int | None) -> list[Archived]:
    """Give the events that some commands have set off, the oldest first."""
    query = select(events).where(E.correlationid.in_(sorted(stories)))
    return await _fetch(database, query.order_by(*_OF_ONE).limit(limit))


async def list_page(database: Database, filters: Filters, after: Place | None, limit: int) -> list[Archived]:
    """Give what an index leads to, the oldest first. What an index cannot tell is not asked for."""
    return await _fetch(database, _query(filters, after).limit(limit))


def _query(filters: Filters, after: Place | None) -> Select[Any]:
    """Ask for what an index leads to. A day is said beside a time: only so are the partitions of others left alone."""
    query = select(events).order_by(*_ORDER)
    for column in (E.type, E.key, E.correlationid):
        if (wanted := getattr(filters, column.key)) is not None:
            query = query.where(column == wanted)
    if filters.since is not None:
        query = query.where(E.time >= filters.since, E.day >= day_of(filters.since))
    if filters.until is not None:
        query = query.where(E.time < filters.until, E.day <= day_of(filters.until))
    if after is not None:
        place = (after.time, after.id, after.source)
        query = query.where(E.time >= after.time, E.day >= day_of(after.time), tuple_(*_ORDER) > place)
    return query


async def _fetch(database: Database, query: Select[Any]) -> list[Archived]:
    async with database.reading() as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [_archived(**row) for row in rows]


def _archived(headers: Any, **columns: Any) -> Archived:
    return Archived(headers=headers_of(headers), **columns)
