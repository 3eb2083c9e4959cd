"""Reads a record as a row of the export: an event in the columns of its contract, anything else as it is."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from backbone.consuming.batch import Letter
from backbone.events.contracts import ContractBroken, UnknownContract, check
from backbone.events.envelope import Envelope, Undecodable, from_record
from backbone.events.records import Record
from cli.exporting.columns import UNKNOWN, Row, Sheet, sheet_of

UNKNOWN_TYPE = "unknown"


class Found(NamedTuple):
    """Holds one record: what it is known by, when it happened, and its row among those of its type."""

    source: str
    id: str
    time: str
    type: str
    schema: pa.Schema
    row: Row
    weight: int

    @property
    def day(self) -> str:
        return self.time[:10]


def read(record: Record, arrived: int, log: str) -> Found:
    """Read a record that arrived then (milliseconds since 1970) in that log."""
    try:
        envelope = from_record(record.key, record.value, record.headers)
    except Undecodable as error:
        return _unknown(record, arrived, log, None, error.reason)
    try:
        sheet = sheet_of(envelope.type)
    except UnknownContract as error:
        return _unknown(record, arrived, log, envelope, str(error))
    row = (*_attributes(envelope), *_place(record, arrived), *_data(envelope, sheet))
    return Found(envelope.source, envelope.id, envelope.time, envelope.type, sheet.schema, row, len(envelope.data))


def unreadable(topic: str, partition: int, offset: int, error: Exception, log: str) -> Found:
    """Make the row of a record that Kafka's client cannot take apart; nobody knows when it arrived."""
    letter = Letter(topic, partition, offset, key=None, value=None, headers=[])
    return _unknown(letter, None, log, None, f"Kafka's client cannot take it apart ({error})")


def untyped(row: Row, error: Exception) -> Row:
    """Move the data of a row to `raw`: it fits its contract, and yet no column can hold it."""
    *event, _, data, raw = row
    return (*event, f"no column can hold its data: {error}", None, raw or orjson.dumps(data))


def _data(envelope: Envelope, sheet: Sheet) -> Row:
    """Return problem, data and raw: the text itself is kept wherever the columns do not tell all of it."""
    if envelope.dataref is not None:
        return f"its data lies at {envelope.dataref}, and was not to be had", None, envelope.data
    try:
        data = orjson.loads(envelope.data)
        check(envelope.type, data)
    except (ContractBroken, ValueError) as error:
        return str(error), None, envelope.data
    return None, data, None if sheet.names.tell_all(data) else envelope.data


def _unknown(record: Record, arrived: int | None, log: str, envelope: Envelope | None, problem: str) -> Found:
    time = envelope.time if envelope else _written(arrived)
    told = (envelope.type, *_attributes(envelope)) if envelope else (None,) * 12
    headers = [{"name": name, "value": value} for name, value in record.headers]
    row = (*told, *_place(record, arrived), problem, record.key, record.value, headers)
    source, known_by = (envelope.source, envelope.id) if envelope else (log, f"{record.partition}/{record.offset}")
    weight = len(record.value or b"") + sum(len(value or b"") for _, value in record.headers)
    return Found(source, known_by, time, UNKNOWN_TYPE, UNKNOWN, row, weight)


def _attributes(envelope: Envelope) -> Row:
    return (
        envelope.id,
        envelope.source,
        envelope.subject,
        envelope.time,
        envelope.dataschema,
        envelope.partitionkey,
        envelope.correlationid,
        envelope.causationid,
        envelope.occurrenceid,
        envelope.sequence,
        envelope.traceparent,
    )


def _place(record: Record, arrived: int | None) -> tuple[Any, ...]:
    return record.topic, record.partition, record.offset, arrived


def _written(milliseconds: int | None) -> str:
    moment = datetime.now(UTC) if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
