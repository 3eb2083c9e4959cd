"""Sets aside an event that no retry can help as a dead letter, and its key with it.

Later events of the key wait behind it, in order; all other keys flow on. A redrive handles a key's dead letters in
their order, once whatever was wrong is mended, and opens the key again.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import orjson

from backbone.consuming import sql
from backbone.consuming.batch import Incoming, Letter, declared_type, printable, read
from backbone.events.records import Record
from backbone.observing import metrics
from backbone.observing.logs import logger
from backbone.observing.telemetry import trace_id_of
from backbone.running.pulse import describe
from backbone.storage.database import Database, Tx

WAITING = None
"""The error of a dead letter that is sound itself but waits behind another of its key."""


async def sift(tx: Tx, consumer: str, incoming: Sequence[Incoming]) -> list[Incoming]:
    """Park the events whose key is parked behind it, and return the others. Locks the parked keys it meets."""
    if not incoming:
        return []
    parked = await lock_parked(tx, consumer, incoming)
    if not parked:
        return list(incoming)
    for each in incoming:
        if (each.record.topic, each.key) in parked:
            await _write_letter(tx, consumer, each, WAITING)
    return [each for each in incoming if (each.record.topic, each.key) not in parked]


async def lock_parked(tx: Tx, consumer: str, incoming: Sequence[Incoming]) -> set[tuple[str, str]]:
    """Lock and return those (topic, key) of these events that are parked."""
    keys = sorted({(each.record.topic, each.key) for each in incoming})
    rows = await sql.PARKED_LOCK.fetch(tx.raw, consumer=consumer, wanted=keys)
    return {(row["topic"], row["key"]) for row in rows}


async def park(tx: Tx, consumer: str, incoming: Incoming, error: Exception) -> None:
    """Write one event as a dead letter and park its key."""
    await sql.PARK_KEY.execute(tx.raw, consumer=consumer, parked=[(incoming.record.topic, incoming.key)])
    await _write_letter(tx, consumer, incoming, describe(error))
    metrics.PARKED.inc()
    logger.error(
        "an event was parked",
        action="event-parked",
        topic=incoming.record.topic,
        partition=incoming.record.partition,
        offset=incoming.record.offset,
        key=incoming.key,
        **_about(incoming),
        error=describe(error),
        exc_info=error,
    )


def _about(incoming: Incoming) -> dict[str, str | None]:
    """Return what a log line tells of an event that could be read: its type, its id and its trace."""
    event = incoming.event
    if event is None:
        return {}
    return {"event_id": event.id, "event_type": event.type, "trace_id": trace_id_of(event.traceparent)}


class _Row(msgspec.Struct):
    """Holds what is written of one event into the table `dead_letters`."""

    record: Record
    key: str
    type: str | None
    error: str | None
    headers: str
    own_log: UUID | None


async def _write_letter(tx: Tx, consumer: str, incoming: Incoming, error: str | None) -> None:
    headers = [(printable(name), _text_of(value)) for name, value in incoming.record.headers]
    declared = declared_type(incoming.record)
    row = _Row(
        record=incoming.record,
        key=incoming.key,
        type=declared and printable(declared),
        error=error and printable(error),
        headers=orjson.dumps(headers).decode(),
        own_log=incoming.record.log if isinstance(incoming.record, Letter) else None,
    )
    await sql.DEAD_LETTER.execute(tx.raw, consumer=consumer, letter=[row])


def _text_of(value: bytes | None) -> str | None:
    """Turn a header's value into readable text that JSON in Postgres can hold; `_bytes_of` is the exact inverse."""
    return None if value is None else value.decode("latin-1").encode("unicode_escape").decode()


def _bytes_of(text: str | None) -> bytes | None:
    return None if text is None else text.encode().decode("unicode_escape").encode("latin-1")


def event_id(record: Record) -> str | None:
    """Return the id that a record names, as its dead letter has it among its headers."""
    return _text_of(dict(record.headers).get("ce_id"))


async def oldest(tx: Tx, consumer: str, topic: str, key: str) -> asyncpg.Record | None:
    """Lock a parked key and return its first dead letter; open a key that has none left.

    Of a key that somebody has paused none is due.
    """
    parked = await sql.PARKED_LOCK.fetch(tx.raw, consumer=consumer, wanted=[(topic, key)])
    if not parked or parked[0]["pause"] is not None:
        return None
    row = await sql.LETTER_OLDEST.fetchrow(tx.raw, consumer=consumer, topic=topic, key=key)
    if row is None:
        await sql.OPEN_KEY.execute(tx.raw, consumer=consumer, topic=topic, key=key)
    return row


def incoming_of(row: asyncpg.Record, views: Any) -> Incoming:
    """Decode a dead letter as if it had just arrived."""
    return read(letter_of(row), views)


def letter_of(row: asyncpg.Record) -> Letter:
    """Give a dead letter the shape of the record it was."""
    headers = [(name, _bytes_of(text)) for name, text in row["headers"]]
    return Letter(row["topic"], row["partition"], row["offset"], row["record_key"], row["value"], headers)


async def parked_keys(database: Database, consumer: str, key: str | None) -> list[tuple[str, str]]:
    """Return the parked (topic, key) pairs of a consumer, oldest first; only those of `key` when it is given.

    Those that somebody has paused are left out.
    """
    rows = await sql.PARKED_KEYS.fetch(database, consumer=consumer, key=key)
    return [(row["topic"], row["key"]) for row in rows if row["pause"] is None]
