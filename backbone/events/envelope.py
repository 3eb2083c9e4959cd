"""Writes events as Kafka records and reads them: CloudEvents 1.0.2 in binary mode.

Attributes travel as headers, the data as the record's value, the partition key as the record's key. The
values are plain UTF-8: percent-encoding belongs to the HTTP binding only. Structured mode is read as well.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md

This codec exists because the official SDK takes five times as long; the tests hold it to that SDK.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from backbone.errors import SlicelineError
from backbone.events import buses, dataref
from backbone.events.deprecation import Deprecation
from backbone.events.documents import Unreadable, is_document, is_json, unfold, unread_mode
from backbone.events.moments import BadTime, in_our_form
from backbone.events.topics import DEFAULT_BUS
from backbone.values.texts import NONCHARACTERS
from backbone.values.tracecontext import as_we_write_it

# CloudEvents sets no bound. Ours keeps every attribute far below what a Postgres index can hold (2.7 KB).
LONGEST_ATTRIBUTE = 512
# What a Postgres bigint holds.
LARGEST_SEQUENCE = 2**63 - 1
_SEQUENCE_DIGITS = 20

# CloudEvents' type "String": no control characters, no noncharacters, no lone surrogates.
_FORBIDDEN = re.compile(rf"[\x00-\x1f\x7f-\x9f\ud800-\udfff{NONCHARACTERS}]")
_TYPE = re.compile(r"sliceline\.([a-z][a-z0-9-]*)\.([a-z][a-z0-9-]*)\.v([1-9][0-9]{0,3})")

Headers = list[tuple[str, bytes]]
Received = Sequence[tuple[str, bytes | None]]
Attributes = dict[str, bytes | None]


class Undecodable(SlicelineError):
    """The record is not an event we can read."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The record is not an event we can read: {reason}.")
        self.reason = reason


class MalformedType(SlicelineError):
    """The event type does not have the shape sliceline.<service>.<event>.v<N>."""

    def __init__(self, event_type: str) -> None:
        super().__init__(f"{event_type!r} does not have the shape sliceline.<service>.<event>.v<N>.")
        self.type = event_type


class TypeName(NamedTuple):
    """Holds the parts of an event type."""

    service: str
    event: str
    version: int


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Holds one event as it travels. `time` is RFC 3339 in UTC with microseconds and a `Z`; `data` is JSON text.

    Where `dataref` says that the data lies elsewhere (claim check), `data` is empty.
    """

    id: str
    type: str
    source: str
    subject: str
    time: str
    dataschema: str
    partitionkey: str
    correlationid: str
    causationid: str | None = None
    occurrenceid: str
    sequence: int
    traceparent: str | None = None
    deprecation: Deprecation | None = None
    dataref: str | None = None
    data: bytes


@lru_cache(maxsize=1024)
def parse_type(event_type: str) -> TypeName:
    """Take `sliceline.<service>.<event>.v<N>` apart. Raises MalformedType for anything else."""
    match = _TYPE.fullmatch(event_type)
    if match is None:
        raise MalformedType(event_type)
    return TypeName(match[1], match[2], int(match[3]))


def is_type(text: str) -> bool:
    """Tell whether a text has the shape of an event type."""
    return _TYPE.fullmatch(text) is not None


def topic_of(event_type: str, bus: str = DEFAULT_BUS) -> str:
    """Name the topic that events of a type are published to on a bus. Raises UnknownBus."""
    return buses.find(bus).topic(parse_type(event_type).service)


def name_without_version(event_type: str) -> str:
    """Name the happening that all versions of a type tell of: `sliceline.<service>.<event>`."""
    name = parse_type(event_type)
    return f"sliceline.{name.service}.{name.event}"


def unfit(value: str) -> str | None:
    """Say why a text cannot be the value of an attribute, or None where it can.

    Ask before an event is accepted: `to_record` trusts what it gets, and `from_record` refuses such a value.
    """
    if not value:
        return "is empty"
    if len(value) > LONGEST_ATTRIBUTE:
        return f"is longer than {LONGEST_ATTRIBUTE} characters"
    # isprintable() is quick and stricter than CloudEvents; what it doubts is looked at again.
    if not value.isprintable() and _FORBIDDEN.search(value):
        return "holds a control character or another that CloudEvents forbids"
    return None


def to_record(envelope: Envelope) -> tuple[bytes, bytes, Headers]:
    """Write an event as a Kafka record: its key, its value and its headers."""
    key = envelope.partitionkey.encode()
    headers = headers_of(
        envelope.id.encode(),
        envelope.type.encode(),
        envelope.source.encode(),
        envelope.subject.encode(),
        envelope.time.encode(),
        envelope.dataschema.encode(),
        key,
        envelope.correlationid.encode(),
        envelope.occurrenceid.encode(),
        b"%020d" % envelope.sequence,
        envelope.causationid.encode() if envelope.causationid is not None else None,
        envelope.traceparent.encode() if envelope.traceparent is not None else None,
    )
    said = envelope.deprecation.headers() if envelope.deprecation else []
    claim = [(dataref.HEADER, envelope.dataref.encode())] if envelope.dataref is not None else []
    return key, envelope.data, [*headers, *said, *claim]


def headers_of(
    id: bytes,  # noqa: A002  the attribute's name
    type: bytes,  # noqa: A002
    source: bytes,
    subject: bytes,
    time: bytes,
    dataschema: bytes,
    partitionkey: bytes,
    correlationid: bytes,
    occurrenceid: bytes,
    sequence: bytes,
    causationid: bytes | None,
    traceparent: bytes | None,
) -> Headers:
    """Make the headers of attributes that are encoded already: `time` and `sequence` have their final form."""
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", id),
        ("ce_type", type),
        ("ce_source", source),
        ("ce_subject", subject),
        ("ce_time", time),
        ("ce_dataschema", dataschema),
        ("ce_partitionkey", partitionkey),
        ("ce_correlationid", correlationid),
        ("ce_occurrenceid", occurrenceid),
        ("ce_sequence", sequence),
    ]
    if causationid is not None:
        headers.append(("ce_causationid", causationid))
    if traceparent is not None:
        headers.append(("ce_traceparent", traceparent))
    return headers


def from_record(key: bytes | None, value: bytes | None, headers: Received) -> Envelope:
    """Read an event from a Kafka record. Raises Undecodable, and nothing else, whatever the record holds.

    Headers that are not ours are ignored. The data is handed on unread: its contract is checked elsewhere. Data that
    came along counts, whatever a `dataref` says beside it.
    """
    attributes = _distinct(headers)
    if value is None:
        if attributes.get(dataref.HEADER) is None:
            raise Undecodable("it has no value (a tombstone)")
        value = b""
    if is_document(attributes.get("content-type")):
        attributes, value = _unfolded(value)
    _check_mode(attributes)
    if key is None or attributes.get("ce_partitionkey") != key:
        raise Undecodable("ce_partitionkey is not the record's key")
    return Envelope(
        id=_text(attributes, "ce_id"),
        type=_text(attributes, "ce_type"),
        source=_text(attributes, "ce_source"),
        subject=_text(attributes, "ce_subject"),
        time=_time(_text(attributes, "ce_time")),
        dataschema=_text(attributes, "ce_dataschema"),
        partitionkey=_text(attributes, "ce_partitionkey"),
        correlationid=_text(attributes, "ce_correlationid"),
        causationid=_optional(attributes, "ce_causationid"),
        occurrenceid=_text(attributes, "ce_occurrenceid"),
        sequence=_sequence(attributes.get("ce_sequence")),
        traceparent=_traceparent(attributes.get("ce_traceparent")),
        deprecation=_deprecation(attributes) if "ce_deprecated" in attributes else None,
        dataref=None if value else _optional(attributes, dataref.HEADER),
        data=value,
    )


def _unfolded(document: bytes) -> tuple[Attributes, bytes]:
    try:
        headers, value = unfold(document)
    except Unreadable as error:
        raise Undecodable(str(error)) from None
    return dict(headers), value


def _distinct(headers: Received) -> Attributes:
    attributes = dict(headers)
    if len(attributes) != len(headers):
        names = [name for name, _ in headers if name.startswith("ce_") or name == "content-type"]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Undecodable(f"{twice[0]!r} stands there more than once")
    return attributes


def _check_mode(attributes: Attributes) -> None:
    if attributes.get("ce_specversion") != b"1.0":
        raise Undecodable("ce_specversion is not 1.0")
    content_type = attributes.get("content-type")
    if content_type == b"application/json":
        return
    if mode := unread_mode(content_type):
        raise Undecodable(mode)
    if not is_json(content_type):
        raise Undecodable("content-type is not JSON: neither application/json nor one that ends with +json")


def _text(attributes: Attributes, name: str) -> str:
    raw = attributes.get(name)
    if raw is None:
        raise Undecodable(f"{name} is missing")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Undecodable(f"{name} is not UTF-8") from None
    if 0 < len(text) <= LONGEST_ATTRIBUTE and text.isprintable():  # what `unfit` asks first, without the call
        return text
    if problem := unfit(text):
        raise Undecodable(f"{name} {problem}")
    return text


def _optional(attributes: Attributes, name: str) -> str | None:
    """Read a header that may be absent; one without a value is, for so Debezium writes an empty column."""
    return _text(attributes, name) if attributes.get(name) is not None else None


def _traceparent(raw: bytes | None) -> str | None:
    """Read a traceparent; one that is not valid is ignored, as Trace Context asks."""
    return None if raw is None else as_we_write_it(raw)


def _time(text: str) -> str:
    try:
        return in_our_form(text)
    except BadTime as error:
        raise Undecodable(f"ce_time {error}") from None


def _deprecation(attributes: Attributes) -> Deprecation | None:
    """Read what is said of the type's end; as it is a hint, what is malformed in it is ignored."""
    said = attributes.get("ce_deprecated")
    if said is None or said.lower() != b"true":  # "True": so the official SDK writes it
        return None
    since, sunset = (_moment(attributes.get(f"ce_deprecation{name}")) for name in ("from", "sunset"))
    return Deprecation(since, sunset, _hint(attributes.get("ce_deprecationmigration")))


def _moment(raw: bytes | None) -> str | None:
    text = _hint(raw)
    try:
        return in_our_form(text) if text else None
    except BadTime:
        return None


def _hint(raw: bytes | None) -> str | None:
    text = (raw or b"").decode(errors="replace")
    return None if unfit(text) else text


def _sequence(raw: bytes | None) -> int:
    if raw is None or not raw.isdigit() or len(raw) > _SEQUENCE_DIGITS:
        raise Undecodable(f"ce_sequence is not a number of at most {_SEQUENCE_DIGITS} digits")
    sequence = int(raw)
    if not 1 <= sequence <= LARGEST_SEQUENCE:
        raise Undecodable(f"ce_sequence is not between 1 and {LARGEST_SEQUENCE}")
    return sequence
