"""Sets aside an event that no retry can help as a dead letter, and its key with it.

Later events of the key wait behind it, in order; all other keys flow on. A redrive handles a key's dead letters in
their order, once whatever was wrong is mended, and opens the key again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import orjson

from backbone.consuming import sql
from backbone.consuming.batch import Incoming, Letter, declared_type, printable, read
from backbone.consuming.fingerprints import Failure, failure_of
from backbone.consuming.tried import Fault, Tried
from backbone.events.records import Record
from backbone.observing import metrics
from backbone.observing.logs import logger
from backbone.observing.telemetry import trace_id_of
from backbone.running.pulse import describe
from backbone.storage.database import Tx

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
    """Write one event as a dead letter, park its key and say so."""
    await write(tx, consumer, incoming, error)
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


async def write(tx: Tx, consumer: str, incoming: Incoming, error: Exception) -> None:
    """Write one event as a dead letter and park its key, without a word."""
    await sql.PARK_KEY.execute(tx.raw, consumer=consumer, parked=[(incoming.record.topic, incoming.key)])
    await _write_letter(tx, consumer, incoming, failure_of(error, type_of(incoming.record)))


def _about(incoming: Incoming) -> dict[str, str | None]:
    """Return what a log line tells of an event that could be read: its type, its id and its trace."""
    event = incoming.event
    if event is None:
        return {}
    return {"event_id": event.id, "event_type": event.type, "trace_id": trace_id_of(event.traceparent)}


class Blame(msgspec.Struct):
    """Holds what is written of a failure."""

    error: str | None = None
    fingerprint: str | None = None
    frames: str | None = None
    failing: str | None = None
    failed_at: datetime | None = None
    attempts: int = 0


def blame_of(failure: Failure, at: datetime) -> Blame:
    """Put a failure into the form that Postgres can hold."""
    frames, failing = (msgspec.json.encode(each).decode() for each in (failure.frames, failure.failing))
    return Blame(failure.error, failure.fingerprint, frames, failing, at, 1)


class _Row(msgspec.Struct):
    """Holds what is written of one event into the table `dead_letters`."""

    record: Record
    key: str
    type: str | None
    headers: str
    own_log: UUID | None
    blame: Blame


async def _write_letter(tx: Tx, consumer: str, incoming: Incoming, failure: Failure | None) -> None:
    row = _Row(
        record=incoming.record,
        key=incoming.key,
        type=type_of(incoming.record),
        headers=orjson.dumps(headers_of(incoming.record)).decode(),
        own_log=incoming.record.log if isinstance(incoming.record, Letter) else None,
        blame=blame_of(failure, tx.now) if failure else Blame(),
    )
    await sql.DEAD_LETTER.execute(tx.raw, consumer=consumer, letter=[row])


def headers_of(record: Record) -> list[tuple[str, str | None]]:
    """Return a record's headers as they are stored."""
    return [(printable(name), None if value is None else text_of(value)) for name, value in record.headers]


def type_of(record: Record) -> str | None:
    """Return the type that a record declares, as it is stored."""
    declared = declared_type(record)
    return declared and printable(declared)


def text_of(value: bytes) -> str:
    """Turn a header's value into readable text that JSON in Postgres can hold; `bytes_of` is the exact inverse."""
    return value.decode("latin-1").encode("unicode_escape").decode()


def bytes_of(text: str) -> bytes:
    """Turn such a text into the bytes it stands for."""
    return text.encode().decode("unicode_escape").encode("latin-1")


def event_id(record: Record) -> str | None:
    """Return the id that a record names, as its dead letter has it among its headers."""
    named = dict(record.headers).get("ce_id")
    return None if named is None else text_of(named)


def incoming_of(row: asyncpg.Record, views: Any) -> Incoming:
    """Decode a dead letter as if it had just arrived, and note what it has failed for."""
    incoming = read(letter_of(row), views)
    if not row["attempts"]:
        return incoming
    faults = (Fault(row["error"], row["failed_at"]),) if row["error"] else ()
    return msgspec.structs.replace(incoming, tried=Tried(row["attempts"], faults))


def letter_of(row: asyncpg.Record) -> Letter:
    """Give a dead letter the shape of the record it was."""
    headers = [(name, None if text is None else bytes_of(text)) for name, text in row["headers"]]
    return Letter(row["topic"], row["partition"], row["offset"], row["record_key"], row["value"], headers)


def keys_of(rows: Iterable[asyncpg.Record]) -> list[tuple[str, str]]:
    """Return the (topic, key) pairs of dead letters, each once and sorted, as they are locked."""
    return sorted({(row["topic"], row["key"]) for row in rows})
