"""Reads and checks a poll's records, and holds them as a batch with the ranges of offsets that they stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from backbone.consuming.tried import Fault, Tried
from backbone.errors import SlicelineError
from backbone.events import contracts
from backbone.events.buses import many_with
from backbone.events.documents import Unreadable, is_document, unfold, unread_mode
from backbone.events.envelope import LONGEST_ATTRIBUTE, Envelope, Undecodable, from_record
from backbone.events.payload import Event, P, Payload, Recorded, Unread
from backbone.events.records import Record
from backbone.events.topics import PartitionId
from backbone.running.pulse import describe
from backbone.values.whole import all_whole


@dataclass(frozen=True)
class Letter:
    """Holds a dead letter in the shape of the record it was."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int | None = None
    """When Kafka took it, in milliseconds; not known of one that was parked."""
    log: UUID | None = None
    """The log it is parked under, where that is not the one in which its reader stands."""


class Mismatch(SlicelineError):
    """The event fits its contract, but this reader cannot decode it into its view."""


class NotFetched(SlicelineError):
    """The event's data lies elsewhere and was not fetched yet (see `claims.py`)."""

    def __init__(self, dataref: str) -> None:
        super().__init__(f"The event's data lies at {dataref} and was not fetched yet: try it again.")
        self.dataref = dataref


class Incoming(msgspec.Struct, frozen=True):
    """Holds one decoded record: an event we listen to, a broken one, or (neither) one of a type we do not listen to.

    `key` is what parks with it. Only a record that declares a type we listen to speaks for a key of ours.
    """

    record: Record
    key: str
    event: Event[Any] | None = None
    broken: Exception | None = None
    tried: Tried | None = None
    """The attempts at it that have failed so far."""

    @property
    def place(self) -> PartitionId:
        """The partition it was read from."""
        return self.record.topic, self.record.partition


def read(record: Record, views: Mapping[str, type[Payload]]) -> Incoming:
    """Decode a record and check it against its contract; an error is returned as its `broken`, never raised.

    `views` are named as `views_of` does it. What came in structured mode is handed on as binary mode has it. An event
    whose data lies elsewhere is broken as NotFetched: `claims.py` fetches it.
    """
    try:
        record = _in_binary_mode(record)
    except Unreadable as error:
        return Incoming(record, _own_key(record), broken=Undecodable(str(error)))
    declared = declared_type(record)
    view = view_of(declared, record.topic, views) if declared else None
    if view is None:
        return Incoming(record, _own_key(record), broken=None if declared else _untyped(record))
    try:
        envelope = from_record(record.key, record.value, record.headers)
        return Incoming(record, envelope.partitionkey, _event(envelope, view, record))
    except SlicelineError as error:
        return Incoming(record, _parking_key(record), broken=error)


def _in_binary_mode(record: Record) -> Record:
    """Return a record of structured mode as the one it would be in binary mode, any other as it is."""
    for name, content_type in record.headers:
        if name == "content-type" and is_document(content_type):
            headers, value = unfold(record.value or b"")
            place, log = (record.topic, record.partition, record.offset), getattr(record, "log", None)
            return Letter(*place, record.key, value, headers, record.timestamp, log)
    return record


def view_of(declared: str, topic: str, views: Mapping[str, type[Payload]]) -> type[Payload] | None:
    """Return the view with which a record of a topic that declares a type is read; None for one that is not read."""
    return views.get(f"{topic} {declared}") or views.get(declared) or views.get(topic) or views.get(many_with(topic))


def declared_type(record: Record) -> str | None:
    """Return the type that a record declares, before anything is checked."""
    for name, value in record.headers:
        if name == "ce_type" and value is not None:
            return value.decode(errors="replace")
    return None


def _untyped(record: Record) -> Undecodable:
    """Make the error of a record that names no type; one of a foreign type is merely not for us."""
    return Undecodable(unread_mode(dict(record.headers).get("content-type")) or "it has no ce_type")


def _event(envelope: Envelope, view: type[Payload], record: Record) -> Event[Any]:
    try:
        data = _data(envelope, view, record)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Mismatch(f"{envelope.type} does not fit {view.__module__}.{view.__name__}: {error}") from error
    return Event(
        id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        subject=envelope.subject,
        time=datetime.fromisoformat(envelope.time),
        key=envelope.partitionkey,
        correlationid=envelope.correlationid,
        causationid=envelope.causationid,
        occurrenceid=envelope.occurrenceid,
        sequence=envelope.sequence,
        traceparent=envelope.traceparent,
        deprecation=envelope.deprecation,
        data=data,
    )


def _data(envelope: Envelope, view: type[Payload], record: Record) -> Payload:
    """Decode the data into the reader's view; of what is taken as it came, see only that it is JSON."""
    if envelope.dataref is not None:
        raise NotFetched(envelope.dataref)
    if issubclass(view, Unread):
        msgspec.json.decode(envelope.data, type=msgspec.Raw)
        about: dict[str, Any] = {"record": record} if issubclass(view, Recorded) else {}
        return view(topic=record.topic, dataschema=envelope.dataschema, text=envelope.data, **about)
    contracts.check(envelope.type, envelope.data)
    return _decoded(envelope.data, view)


def _decoded(data: bytes, view: type[P]) -> P:
    try:
        return msgspec.json.decode(data, type=view)
    except msgspec.ValidationError:
        return msgspec.convert(all_whole(msgspec.json.decode(data)), type=view)


def _own_key(record: Record) -> str:
    """Make the key under which a record is parked that declares no event of ours: it holds up nobody but itself."""
    return f"@{record.partition}:{record.offset}"


def _parking_key(record: Record) -> str:
    """Return the key behind which later events of a broken record wait."""
    if record.key is None:
        return _own_key(record)
    key = printable(record.key.decode(errors="backslashreplace"))
    if len(key) <= LONGEST_ATTRIBUTE:
        return key
    # No event of ours has such a key, and an index of Postgres could not hold it.
    return f"{key[:400]}…{sha256(record.key).hexdigest()}"


def printable(text: str) -> str:
    """Escape what Postgres refuses in a text (NUL, lone surrogates), even where JSON or Python allows it."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Batch:
    """Holds records in the order they arrived, and for each partition the offsets [start, next) they settle."""

    incoming: Sequence[Incoming]
    ranges: Mapping[PartitionId, tuple[int, int]]

    @property
    def ends(self) -> dict[PartitionId, int]:
        """The next offset of each partition once the batch is done."""
        return {place: end for place, (_, end) in self.ranges.items()}

    @cached_property
    def not_fetched(self) -> Sequence[int]:
        """Where in it those events stand whose data lies elsewhere."""
        broken = [at for at, each in enumerate(self.incoming) if each.broken is not None]
        return [at for at in broken if isinstance(self.incoming[at].broken, NotFetched)]

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split the batch into two that settle, one after the other, exactly what it would."""
        middle = len(self.incoming) // 2
        first, second = self.incoming[:middle], self.incoming[middle:]
        border = {each.place: each.record.offset for each in reversed(second)}
        before = {place: (start, border.get(place, end)) for place, (start, end) in self.ranges.items()}
        after = {place: (before[place][1], self.ranges[place][1]) for place in border}
        return Batch(first, before), Batch(second, after)

    def failed(self, error: Exception, at: datetime) -> "Batch":
        """Note with each of its records an attempt at the batch that has failed."""
        fault = Fault(printable(describe(error)), at, len(self.incoming))
        tried = [(each.tried or Tried()).again(fault) for each in self.incoming]
        noted = [msgspec.structs.replace(each, tried=so_far) for each, so_far in zip(self.incoming, tried, strict=True)]
        return replace(self, incoming=noted)


def unreadable(place: PartitionId, offset: int, error: Exception) -> Batch:
    """Make the batch of one record of which only the offset is known."""
    letter = Letter(*place, offset, key=None, value=None, headers=[])
    broken = Undecodable(f"Kafka's client cannot take it apart ({error})")
    return Batch([Incoming(letter, _own_key(letter), broken=broken)], {place: (offset, offset + 1)})
