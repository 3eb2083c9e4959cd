"""Endpoints, the events heard, and what is owed, in the database.

Whoever changes what an endpoint is owed has its row locked: so a round that ends sees all of it when it plans the next.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Row, select

from backbone.http import Page
from backbone.http.pages import number_of
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows
from services.webhooks.endpoint import Attempt, Delivery, Endpoint, Recovery, Settled, Standing, Status
from services.webhooks.messages import Message
from services.webhooks.tables import attempts, deliveries, endpoints, messages

D = deliveries.c
_DELIVERIES = select(deliveries, messages.c.event_id, messages.c.type).join(messages, D.position == messages.c.position)


def _as_json(endpoint: Endpoint) -> str | None:
    return None if endpoint.pattern is None else msgspec.json.encode(endpoint.pattern).decode()


_ENDPOINTS = rows(endpoints, pattern=_as_json)
_LOCK_ALL = Statement("SELECT :e.* FROM endpoints AS e WHERE id = ANY(:ids) ORDER BY id FOR UPDATE", e=endpoints)
_SAVE_ALL = Statement(
    """
    INSERT INTO endpoints (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (id) DO UPDATE SET :new.excluded
    """,
    new=_ENDPOINTS,
)
_ADD = Statement(
    "INSERT INTO endpoints (:new.columns) SELECT :new.* FROM :new ON CONFLICT (id) DO NOTHING", new=_ENDPOINTS
)
_DELETE = Statement("DELETE FROM endpoints WHERE id = :id RETURNING id")
_FIND = Statement("SELECT :e.* FROM endpoints AS e WHERE id = :id", e=endpoints)
_OWED_EVENTS = Statement(
    "SELECT :e.* FROM endpoints AS e WHERE status = 'active' OR status = 'unproven' AND proven", e=endpoints
)

# In the order given: within a key, positions are the order in which its events happened.
_ADD_MESSAGES = Statement(
    """
    INSERT INTO messages (:new.columns, received_at)
    SELECT :new.*, :now::timestamptz FROM :new.numbered ORDER BY ordinal
    ON CONFLICT (event_id) DO NOTHING
    RETURNING position, event_id
    """,
    new=rows(messages, without=("position", "received_at")),
)
_OWE_ALL = Statement(
    """
    INSERT INTO deliveries (endpoint_id, position, key, status, due, attempts, changed_at)
    SELECT endpoint_id, position, key, 'waiting', :now::timestamptz, 0, :now::timestamptz FROM :owed
    ON CONFLICT (endpoint_id, position) DO NOTHING
    """,
    owed=rows(deliveries.c.endpoint_id, deliveries.c.position, deliveries.c.key),
)
# Where order matters, an event waits for those of its key before it that are not due yet, or were given up. Where only
# one is taken, the one tried least, it waits for all of them: they are not sent before it in the same round. While a
# recovery goes on, all wait: earlier ones of their keys may not be owed yet. When it ends it plans a round.
_NEXT = Statement(
    """
    SELECT d.position, d.key, m.event_id, m.body, m.only_for IS NULL AS is_event, d.attempts, d.first_attempt_at
    FROM deliveries AS d JOIN messages AS m USING (position)
    WHERE d.endpoint_id = :endpoint AND d.status = 'waiting' AND d.due <= :now
      AND NOT (:ordered::boolean AND EXISTS (
        SELECT FROM deliveries AS before
        WHERE before.endpoint_id = d.endpoint_id AND before.key = d.key AND before.position < d.position
          AND (before.status = 'parked' OR before.status = 'waiting' AND (before.due > :now OR :is_probe))))
      AND NOT (:ordered::boolean AND EXISTS (
        SELECT FROM jobs AS j WHERE j.kind = 'recover' AND j.data ->> 'endpoint' = :endpoint))
    ORDER BY CASE WHEN :is_probe::boolean THEN d.attempts ELSE 0 END, d.position LIMIT :most
    """
)
_NEXT_DUE = Statement(
    """
    SELECT e.id, next.due FROM endpoints AS e, LATERAL (
      SELECT d.due FROM deliveries AS d
      WHERE d.endpoint_id = e.id AND d.status = 'waiting'
        AND NOT (e.ordered AND EXISTS (
          SELECT FROM deliveries AS before
          WHERE before.endpoint_id = d.endpoint_id AND before.key = d.key AND before.position < d.position
            AND before.status IN ('waiting', 'parked')))
      ORDER BY d.due LIMIT 1) AS next
    WHERE e.id = ANY(:ids)
      AND NOT (e.ordered AND EXISTS (
        SELECT FROM jobs AS j WHERE j.kind = 'recover' AND j.data ->> 'endpoint' = e.id))
    """
)
_SETTLE_ALL = Statement(
    """
    UPDATE deliveries AS d SET :new.changes, changed_at = :now::timestamptz
    FROM :new WHERE d.endpoint_id = new.endpoint_id AND d.position = new.position AND d.status = 'waiting'
    """,
    new=rows(deliveries, without=("key", "changed_at"), within="settled", endpoint_id="endpoint"),
)
# A delivery may be forgotten meanwhile; without the lock even between this statement's reading and its writing.
_ADD_ATTEMPTS = Statement(
    """
    INSERT INTO attempts (:new.columns) SELECT :new.* FROM :new
    JOIN deliveries AS d ON d.endpoint_id = new.endpoint_id AND d.position = new.position FOR KEY SHARE OF d
    """,
    new=rows(attempts, without=("id",), within="attempt", endpoint_id="endpoint", position="settled.position"),
)
_HURRY = Statement(
    "UPDATE deliveries SET due = :now WHERE endpoint_id = ANY(:ids) AND status = 'waiting' AND due > :now"
)
_LOCK_DELIVERY = Statement(
    """
    SELECT :d.*, m.event_id, m.type FROM deliveries AS d JOIN messages AS m USING (position)
    WHERE d.endpoint_id = :endpoint AND m.event_id = :event FOR UPDATE OF d
    """,
    d=deliveries,
)
_STAND_ANEW = Statement(
    """
    UPDATE deliveries SET status = :status, attempts = 0, first_attempt_at = NULL, due = :now, changed_at = :now
    WHERE endpoint_id = :endpoint AND position = :position
    RETURNING status, attempts, first_attempt_at, due, changed_at
    """
)
# What waits already keeps its place in time.
_OWE_AGAIN = Statement(
    """
    INSERT INTO deliveries AS d (endpoint_id, position, key, status, due, attempts, changed_at)
    SELECT :endpoint, position, key, 'waiting', :now::timestamptz, 0, :now::timestamptz
    FROM messages WHERE position = ANY(:positions::bigint[]) ORDER BY position
    ON CONFLICT (endpoint_id, position) DO UPDATE
      SET status = 'waiting', due = excluded.due, attempts = 0, first_attempt_at = NULL,
          changed_at = excluded.changed_at
      WHERE d.status = 'parked' OR :even_delivered::boolean AND d.status IN ('delivered', 'discarded')
    """
)
_BETWEEN = Statement(
    """
    SELECT position, event_id, type, key, body, only_for FROM messages
    WHERE position > :after AND received_at BETWEEN :since AND :until ORDER BY position LIMIT :most
    """
)
_HAS_JOB = Statement("SELECT EXISTS (SELECT FROM jobs WHERE kind = :kind)")
# What is still tried, or was only just owed again, is kept until it is delivered or given up.
_PRUNE = Statement(
    """
    DELETE FROM messages WHERE position IN (
      SELECT position FROM messages AS m WHERE received_at < :before AND NOT EXISTS (
        SELECT FROM deliveries AS d
        WHERE d.position = m.position AND d.status = 'waiting'
          AND COALESCE(d.first_attempt_at, d.changed_at) > :tried_since)
      ORDER BY received_at LIMIT :most)
    """
)


class Owed(msgspec.Struct, frozen=True):
    """Names an event that an endpoint is to get."""

    endpoint_id: str
    position: int
    key: str


class Tried(msgspec.Struct, frozen=True):
    """Holds an attempt, and how the delivery stands after it."""

    endpoint: str
    attempt: Attempt
    settled: Settled


async def lock_all(tx: Tx, ids: Iterable[str]) -> dict[str, Endpoint]:
    """Return these endpoints, locked in sorted order until the transaction ends; unknown ones are left out."""
    found = await _LOCK_ALL.fetch(tx.raw, ids=list(ids))
    return {row["id"]: _endpoint(**row) for row in found}


async def lock(tx: Tx, name: str) -> Endpoint | None:
    """Return an endpoint, locked until the transaction ends, or None."""
    return (await lock_all(tx, [name])).get(name)


async def add(tx: Tx, endpoint: Endpoint) -> bool:
    """Write a new endpoint; tell whether its name was free."""
    return bool(await _ADD.execute(tx.raw, new=[endpoint]))


async def save_all(tx: Tx, changed: Collection[Endpoint]) -> None:
    """Write endpoints that are new or locked."""
    if changed:
        await _SAVE_ALL.execute(tx.raw, new=changed)


async def delete(tx: Tx, name: str) -> bool:
    """Delete an endpoint with all that it is owed; tell whether there was one."""
    return await _DELETE.fetchval(tx.raw, id=name) is not None


async def find(session: Session, name: str) -> Endpoint | None:
    """Return an endpoint, or None."""
    found = await _FIND.fetch(session, id=name)
    return _endpoint(**found[0]) if found else None


async def find_owed_events(session: Session) -> list[Endpoint]:
    """Return all endpoints that events are kept for."""
    return [_endpoint(**row) for row in await _OWED_EVENTS.fetch(session)]


async def list_page(database: Database, page: Page) -> list[Endpoint]:
    """Return a page of endpoints, the oldest first."""
    query = select(endpoints).order_by(endpoints.c.id).limit(page.limit + 1)
    if page.after:
        query = query.where(endpoints.c.id > page.after)
    async with database.reading() as connection:
        return [_endpoint(**row) for row in (await connection.execute(query)).mappings()]


async def add_messages(tx: Tx, heard: Sequence[Message]) -> dict[str, int]:
    """Write down events, in this order; return the positions of those that are new, by the event's id."""
    found = await _ADD_MESSAGES.fetch(tx.raw, new=heard, now=tx.now)
    return {row["event_id"]: row["position"] for row in found}


async def owe_all(tx: Tx, owed: Sequence[Owed]) -> None:
    """Note what is owed to endpoints that are locked."""
    if owed:
        await _OWE_ALL.execute(tx.raw, owed=owed, now=tx.now)


async def find_next(tx: Tx, endpoint: Endpoint, most: int, *, is_probe: bool) -> list[Delivery]:
    """Return what is to be sent to an endpoint now, in order; for a probe what was tried least."""
    given = {"endpoint": endpoint.id, "ordered": endpoint.ordered, "now": tx.now}
    found = await _NEXT.fetch(tx.raw, **given, is_probe=is_probe, most=most)
    return [Delivery(**row) for row in found]


async def find_next_due(tx: Tx, ids: Collection[str]) -> dict[str, datetime]:
    """Say when something is due for these endpoints; one that is owed nothing is left out."""
    return {row["id"]: row["due"] for row in await _NEXT_DUE.fetch(tx.raw, ids=list(ids))}


async def settle_all(tx: Tx, tried: Sequence[Tried]) -> None:
    """Write what came of attempts. A delivery that somebody has discarded meanwhile stays so."""
    if tried:
        await _SETTLE_ALL.execute(tx.raw, new=tried, now=tx.now)
        await _ADD_ATTEMPTS.execute(tx.raw, new=tried)


async def hurry(tx: Tx, ids: Collection[str]) -> None:
    """Make all that these endpoints are owed due now."""
    if ids:
        await _HURRY.execute(tx.raw, ids=list(ids), now=tx.now)


async def lock_delivery(tx: Tx, endpoint: str, event: str) -> asyncpg.Record | None:
    """Return how the delivery of an event to an endpoint stands, locked until the transaction ends, or None."""
    return await _LOCK_DELIVERY.fetchrow(tx.raw, endpoint=endpoint, event=event)


async def stand_anew(tx: Tx, endpoint: str, position: int, status: Standing) -> asyncpg.Record:
    """Let a delivery stand elsewhere, as if it had never been tried; return what is changed."""
    [row] = await _STAND_ANEW.fetch(tx.raw, endpoint=endpoint, position=position, status=status, now=tx.now)
    return row


async def find_between(tx: Tx, recovery: Recovery, most: int) -> dict[int, Message]:
    """Return events that were heard within the time of a recovery, by position, in order."""
    given = {"after": recovery.after, "since": recovery.since, "until": recovery.until}
    found = await _BETWEEN.fetch(tx.raw, **given, most=most)
    return {position: Message(*message) for position, *message in found}


async def owe_again(tx: Tx, endpoint: str, positions: Sequence[int], *, even_delivered: bool) -> None:
    """Owe an endpoint that is locked these events, unless it is owed them already."""
    given = {"endpoint": endpoint, "positions": positions, "even_delivered": even_delivered}
    await _OWE_AGAIN.execute(tx.raw, **given, now=tx.now)


async def has_job(tx: Tx, kind: str) -> bool:
    """Tell whether any job of a kind is planned or runs."""
    return bool(await _HAS_JOB.fetchval(tx.raw, kind=kind))


async def prune(tx: Tx, before: datetime, tried_since: datetime, most: int) -> int:
    """Forget events that were heard before a time, and their deliveries; return how many, at most `most`.

    One that waits for an endpoint, and is tried or owed only since `tried_since`, is kept.
    """
    return await _PRUNE.execute(tx.raw, before=before, tried_since=tried_since, most=most)


async def list_deliveries(
    database: Database, endpoint: str, page: Page, statuses: Collection[Standing]
) -> Sequence[Row[Any]]:
    """Return a page of what an endpoint is or was owed, the newest event first.

    Of these standings, if any are given.
    """
    query = _DELIVERIES.where(D.endpoint_id == endpoint).order_by(D.position.desc()).limit(page.limit + 1)
    if statuses:
        query = query.where(D.status.in_(statuses))
    if page.after:
        query = query.where(D.position < number_of(page.after))
    async with database.reading() as connection:
        return (await connection.execute(query)).all()


async def find_delivery(database: Database, endpoint: str, event: str) -> Row[Any] | None:
    """Return how the delivery of an event to an endpoint stands, or None."""
    query = _DELIVERIES.where(D.endpoint_id == endpoint, messages.c.event_id == event)
    async with database.reading() as connection:
        found: Row[Any] | None = (await connection.execute(query)).one_or_none()
        return found


async def list_attempts(database: Database, endpoint: str, position: int, most: int) -> Sequence[Row[Any]]:
    """Return the newest attempts at a delivery, the newest first."""
    query = select(attempts).where(attempts.c.endpoint_id == endpoint, attempts.c.position == position)
    async with database.reading() as connection:
        return (await connection.execute(query.order_by(attempts.c.id.desc()).limit(most))).all()


def _endpoint(status: str, **known: Any) -> Endpoint:
    return Endpoint(status=Status(status), **known)
