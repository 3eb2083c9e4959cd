"""Takes an event apart into what is kept of it, byte for byte, and puts it together again."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import orjson

from backbone.events import structured
from backbone.events.payload import Event, Recorded
from backbone.observing.telemetry import trace_id_of
from backbone.values import readable

Headers = Sequence[tuple[str, bytes | None]]
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Holds an event with the record that it came in."""

    id: str
    source: str
    day: date
    type: str
    subject: str
    time: datetime
    topic: str
    partition: int
    offset: int
    recorded_at: datetime | None
    """When Kafka took it: not known of one that was parked here before it was kept."""
    key: str
    record_key: bytes
    headers: Headers
    value: bytes
    correlationid: str
    causationid: str | None
    occurrenceid: str
    sequence: int
    traceid: str | None = None
    """None of one that came without, or was kept before this was noted."""


class Archived(Kept, frozen=True, kw_only=True):
    """Is an event as it is kept, and since when."""

    archived_at: datetime


def kept(event: Event[Recorded]) -> Kept:
    """Take an event apart."""
    record = event.data.record
    return Kept(
        id=event.id,
        source=event.source,
        day=day_of(event.time),
        type=event.type,
        subject=event.subject,
        time=event.time,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        recorded_at=_moment(record.timestamp),
        key=event.key,
        record_key=record.key or b"",
        headers=record.headers,
        value=event.data.text,
        correlationid=event.correlationid,
        causationid=event.causationid,
        occurrenceid=event.occurrenceid,
        sequence=event.sequence,
        traceid=trace_id_of(event.traceparent),
    )


def day_of(time: datetime) -> date:
    """Name the day of a moment, in UTC."""
    return time.astimezone(UTC).date()


def _moment(timestamp: int | None) -> datetime | None:
    """Read Kafka's milliseconds; what a writer has set to no moment of our calendar is not known."""
    if timestamp is None or timestamp < 0:
        return None
    try:
        return _BEGINNING + timedelta(milliseconds=timestamp)
    except OverflowError:
        return None


def headers_as_json(headers: Headers) -> str:
    """Write headers so that they can be read again exactly, whatever bytes they hold."""
    written = [(name, None if value is None else b64encode(value).decode()) for name, value in headers]
    return orjson.dumps(written).decode()


def headers_of(stored: Sequence[tuple[str, str | None]]) -> list[tuple[str, bytes | None]]:
    """Read headers as `headers_as_json` has written them."""
    return [(name, None if value is None else b64decode(value)) for name, value in stored]


def data_of(event: Kept) -> Any:
    """Read the data of an event; what nobody can read is its text, as it is kept whatever it is."""
    return readable.shown(event.value)


def as_patterns_see_it(event: Kept, read: Callable[[bytes], Any] = readable.shown) -> dict[str, Any]:
    """Show an event as CloudEvents' JSON format has it: the attributes that it came with, and `data`, as it is read."""
    own = [(name.removeprefix("ce_"), value) for name, value in event.headers if name.startswith("ce_")]
    texts = {name: value.decode(errors="replace") for name, value in own if value is not None}
    return {
        **texts,
        **({"deprecated": True} if "deprecated" in texts else {}),
        "time": structured.written(event.time),
        "datacontenttype": "application/json",
        "data": read(event.value),
    }
