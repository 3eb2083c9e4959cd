"""The envelope's codec, held to CloudEvents by the official SDK."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from backbone.events.deprecation import Deprecation
from backbone.events.documents import document_of
from backbone.events.envelope import (
    LARGEST_SEQUENCE,
    LONGEST_ATTRIBUTE,
    Envelope,
    MalformedType,
    Undecodable,
    from_record,
    name_without_version,
    parse_type,
    to_record,
    topic_of,
    unfit,
)
from backbone.values.tracecontext import Traceparent

NONCHARACTERS = [chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)]
NONCHARACTERS += [chr(code) for code in range(0xFDD0, 0xFDF0)]

values = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=NONCHARACTERS),
    min_size=1,
    max_size=LONGEST_ATTRIBUTE,
)
times = st.datetimes(min_value=datetime(1000, 1, 1)).map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}")
traces = st.builds(Traceparent, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
deprecations = st.builds(Deprecation, st.none() | times, st.none() | times, st.none() | values)
envelopes = st.builds(
    Envelope,
    id=values,
    type=values,
    source=values,
    subject=values,
    time=times,
    dataschema=values,
    partitionkey=values,
    correlationid=values,
    causationid=st.none() | values,
    occurrenceid=values,
    sequence=st.integers(1, LARGEST_SEQUENCE),
    traceparent=st.none() | traces.map(str),
    deprecation=st.none() | deprecations,
    data=st.dictionaries(st.text(), st.integers(-1000, 1000) | st.text()).map(orjson.dumps),
)

SAMPLE = Envelope(
    id="0193a5c0-0000-7000-8000-000000000001",
    type="sliceline.orders.order-placed.v1",
    source="/sliceline/orders",
    subject="0193a5c0-0000-7000-8000-00000000000a",
    time="2026-11-02T10:00:00.000001Z",
    dataschema="https://sliceline.invalid/schemas/orders/order-placed.v1.json",
    partitionkey="0193a5c0-0000-7000-8000-00000000000a",
    correlationid="0193a5c0-0000-7000-8000-00000000000b",
    causationid="0193a5c0-0000-7000-8000-00000000000c",
    occurrenceid="0193a5c0-0000-7000-8000-00000000000d",
    sequence=7,
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    data=b'{"order":"0193a5c0-0000-7000-8000-00000000000a"}',
)


def read_with(**changes: bytes | None) -> Envelope:
    """Read the sample with some headers changed, or left out where the change is None."""
    key, value, headers = to_record(SAMPLE)
    changed = {name.replace("content_type", "content-type"): raw for name, raw in changes.items()}
    kept = [(name, changed.get(name, raw)) for name, raw in headers]
    return from_record(key, value, [(name, raw) for name, raw in kept if raw is not None])


@given(envelopes)
def test_what_was_written_is_read_again(envelope: Envelope) -> None:
    assert from_record(*to_record(envelope)) == envelope


def attributes_of(envelope: Envelope) -> dict[str, Any]:
    """What an event has beside its data, as CloudEvents' JSON format writes it."""
    fields = {name: given for name, given in msgspec.structs.asdict(envelope).items() if given is not None}
    said = fields.pop("deprecation").attributes() if envelope.deprecation else {}
    del fields["data"]
    written = {"specversion": "1.0", "datacontenttype": "application/json", "sequence": f"{envelope.sequence:020d}"}
    return {**fields, **written, **said}


def as_the_sdk_has_it(envelope: Envelope) -> dict[str, Any]:
    return {**attributes_of(envelope), "time": datetime.fromisoformat(envelope.time)}


def read_from(message: KafkaMessage) -> Envelope:
    assert isinstance(message.key, str)
    return from_record(message.key.encode(), message.value, list(message.headers.items()))


@given(envelopes)
def test_the_official_sdk_reads_what_we_write_in_binary_mode(envelope: Envelope) -> None:
    key, value, headers = to_record(envelope)
    event = from_binary_event(KafkaMessage(dict(headers), key, value))
    as_texts = {"deprecated": "true"} if envelope.deprecation else {}  # it knows no extension's types
    assert orjson.dumps(event.get_data()) == envelope.data
    assert event.get_attributes() == {**as_the_sdk_has_it(envelope), **as_texts}


@given(envelopes)
def test_we_read_what_the_official_sdk_writes_in_binary_mode(envelope: Envelope) -> None:
    data = orjson.loads(envelope.data)
    read = read_from(to_binary_event(CloudEvent(as_the_sdk_has_it(envelope), data)))
    assert orjson.loads(read.data) == data
    assert msgspec.structs.replace(read, data=envelope.data) == envelope


@given(envelopes)
def test_the_official_sdk_reads_what_we_write_in_structured_mode(envelope: Envelope) -> None:
    document = document_of(attributes_of(envelope), envelope.data)
    headers = {"content-type": b"application/cloudevents+json"}
    event = from_structured_event(KafkaMessage(headers, envelope.partitionkey, document))
    assert orjson.dumps(event.get_data()) == envelope.data
    assert event.get_attributes() == as_the_sdk_has_it(envelope)


@given(envelopes, st.booleans())
def test_we_read_what_the_official_sdk_writes_in_structured_mode(envelope: Envelope, as_bytes: bool) -> None:
    data = orjson.loads(envelope.data)
    event = CloudEvent(as_the_sdk_has_it(envelope), envelope.data if as_bytes else data)
    read = read_from(to_structured_event(event))
    assert orjson.loads(read.data) == data
    assert msgspec.structs.replace(read, data=envelope.data) == envelope


def test_the_sequence_is_padded_and_absent_attributes_have_no_header() -> None:
    first = msgspec.structs.replace(SAMPLE, causationid=None, traceparent=None)
    key, value, headers = to_record(first)
    assert key == SAMPLE.partitionkey.encode()
    assert value == SAMPLE.data
    assert dict(headers)["ce_sequence"] == b"00000000000000000007"
    assert not {"ce_causationid", "ce_traceparent"} & dict(headers).keys()


STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def document(**changes: Any) -> bytes:
    return orjson.dumps({**attributes_of(SAMPLE), "data": orjson.loads(SAMPLE.data), **changes})


def document_without_data(**changes: Any) -> bytes:
    return orjson.dumps({**attributes_of(SAMPLE), **changes})


def test_a_document_is_read_whatever_its_data_is_called_and_an_attribute_that_is_null_is_not_there() -> None:
    changed = document(causationid=None, datacontenttype=None, hop=3, seen=True)
    read = from_record(SAMPLE.partitionkey.encode(), changed, STRUCTURED)
    assert read == msgspec.structs.replace(SAMPLE, causationid=None)
    about_an_event = document(datacontenttype="application/cloudevents+json")
    assert from_record(SAMPLE.partitionkey.encode(), about_an_event, STRUCTURED) == SAMPLE


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (b"", "no event in CloudEvents' JSON format"),
        (b"[]", "no event in CloudEvents' JSON format"),
        (b"[" * 5000, "no event in CloudEvents' JSON format"),
        (document(id={"a": 1}), "no event in CloudEvents' JSON format"),
        (document(data_base64="e30="), "data and data_base64"),
        (document_without_data(data_base64="?"), "data_base64 is not base64"),
        (document(partitionkey="another"), "ce_partitionkey is not the record's key"),
        (document(specversion="0.3"), "ce_specversion is not 1.0"),
        (document(datacontenttype="text/plain"), "content-type is not JSON"),
        (document(type=None), "ce_type is missing"),
        (document(subject="line\nbreak"), "ce_subject holds a control character"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_document_that_is_no_event_says_what_it_lacks(changed: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        from_record(SAMPLE.partitionkey.encode(), changed, STRUCTURED)


@given(st.binary(max_size=60) | st.dictionaries(st.sampled_from([*attributes_of(SAMPLE), "data"]), st.integers(-9, 9)))
def test_any_document_is_an_event_or_undecodable(given_one: Any) -> None:
    with pytest.raises(Undecodable):
        from_record(b"key", given_one if isinstance(given_one, bytes) else orjson.dumps(given_one), STRUCTURED)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"ce_deprecated": b"true"}, Deprecation()),
        ({"ce_deprecated": b"True", "ce_deprecationfrom": b"2026-11-27T01:00:00+01:00"}, "from"),
        ({"ce_deprecated": b"true", "ce_deprecationsunset": b"soon", "ce_deprecationfrom": b"\xff"}, Deprecation()),
        ({"ce_deprecated": b"true", "ce_deprecationmigration": b"urn:\x00"}, Deprecation()),
        ({"ce_deprecated": b"false", "ce_deprecationsunset": b"2027-05-31T00:00:00Z"}, None),
        ({"ce_deprecationsunset": b"2027-05-31T00:00:00Z"}, None),
    ],
    ids=str,
)
def test_what_is_malformed_about_the_end_of_a_type_is_ignored_and_the_event_is_read(
    said: dict[str, bytes], read: Deprecation | str | None
) -> None:
    key, value, headers = to_record(SAMPLE)
    expected = Deprecation(since="2026-11-27T00:00:00.000000Z") if read == "from" else read
    assert from_record(key, value, [*headers, *said.items()]).deprecation == expected


noise = st.binary(max_size=40) | st.none()
names = st.sampled_from([name for name, _ in to_record(SAMPLE)[2]]) | st.text(max_size=10)


@given(noise, noise, st.lists(st.tuples(names, noise)))
def test_any_bytes_are_an_event_or_undecodable(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    with pytest.raises(Undecodable):
        from_record(key, value, headers)


@given(st.dictionaries(names, noise, max_size=3))
@example({"ce_time": b"0001-01-01T00:00:00+01:00"})
@example({"ce_time": b"9999-12-31T23:59:59-01:00"})
@example({"ce_sequence": "٣".encode()})
@example({"ce_sequence": b"9" * 5000})
def test_a_damaged_record_is_an_event_or_undecodable(damage: dict[str, bytes | None]) -> None:
    key, value, headers = to_record(SAMPLE)
    try:
        read = from_record(key, value, list({**dict(headers), **damage}.items()))
    except Undecodable:
        return
    assert from_record(*to_record(read)) == read


@pytest.mark.parametrize(
    "name",
    [
        *("content-type", "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"),
        *("ce_dataschema", "ce_partitionkey", "ce_correlationid", "ce_occurrenceid", "ce_sequence"),
    ],
)
def test_a_missing_attribute_is_named(name: str) -> None:
    key, value, headers = to_record(SAMPLE)
    with pytest.raises(Undecodable, match=name):
        from_record(key, value, [header for header in headers if header[0] != name])


@pytest.mark.parametrize("name", ["content-type", "ce_id", "ce_traceparent"])
def test_an_attribute_given_twice_is_refused_even_if_equal(name: str) -> None:
    key, value, headers = to_record(SAMPLE)
    with pytest.raises(Undecodable, match=f"{name}.* more than once"):
        from_record(key, value, [*headers, (name, dict(headers)[name])])


@pytest.mark.parametrize("given", [b"f" * 600, b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-" + b"f" * 600, b"\xff", b""])
def test_a_trace_that_is_not_valid_is_ignored_and_the_event_is_read(given: bytes) -> None:
    assert read_with(ce_traceparent=given) == msgspec.structs.replace(SAMPLE, traceparent=None)


def test_headers_of_others_may_stand_there_twice() -> None:
    key, value, headers = to_record(SAMPLE)
    assert from_record(key, value, [*headers, ("hop", b"1"), ("hop", b"\xff"), ("ce_other", b"2")]) == SAMPLE


@pytest.mark.parametrize(
    "changes",
    [
        {"ce_specversion": b"0.3"},
        {"ce_specversion": b"1.0.2"},
        {"ce_id": b""},
        {"ce_type": b"\xff\xfe"},
        {"ce_source": b"/sliceline/\x00"},
        {"ce_subject": b"line\nbreak"},
        {"ce_subject": "next\x85line".encode()},
        {"ce_correlationid": "\ufdd0".encode()},
        {"ce_correlationid": "\U0010ffff".encode()},
        {"ce_occurrenceid": b"x" * (LONGEST_ATTRIBUTE + 1)},
        {"ce_causationid": b""},
        {"ce_partitionkey": b"another"},
        {"ce_sequence": b"0"},
        {"ce_sequence": b"-1"},
        {"ce_sequence": b"1_000"},
        {"ce_sequence": b" 1"},
        {"ce_sequence": str(LARGEST_SEQUENCE + 1).encode()},
        {"ce_time": b"2026-11-02T10:00:00"},
        {"ce_time": b"2026-11-02"},
        {"ce_time": b"2026-02-30T10:00:00Z"},
        {"ce_time": b"1762077600"},
        {"content_type": b"application/cloudevents+json"},  # and so its value is no document
        {"content_type": b"application/jsonp"},
        {"content_type": b"text/plain; application/json"},
        {"content_type": b""},
    ],
    ids=str,
)
def test_a_malformed_attribute_is_refused(changes: dict[str, bytes]) -> None:
    with pytest.raises(Undecodable):
        read_with(**changes)


@pytest.mark.parametrize(
    "content_type", [b"application/json; charset=utf-8", b"Application/JSON", b"application/json ;v=1"]
)
def test_json_is_recognised_however_it_is_spelled(content_type: bytes) -> None:
    assert read_with(content_type=content_type) == SAMPLE


@pytest.mark.parametrize(
    ("given_time", "time"),
    [
        (b"2026-11-02T10:00:00Z", "2026-11-02T10:00:00.000000Z"),
        (b"2026-11-02t12:30:00.5+02:30", "2026-11-02T10:00:00.500000Z"),
        (b"2026-11-02T10:00:00.123456Z", "2026-11-02T10:00:00.123456Z"),
    ],
)
def test_times_are_brought_to_one_form(given_time: bytes, time: str) -> None:
    assert read_with(ce_time=given_time).time == time


def test_a_tombstone_and_a_missing_key_are_undecodable() -> None:
    key, value, headers = to_record(SAMPLE)
    with pytest.raises(Undecodable, match="tombstone"):
        from_record(key, None, headers)
    with pytest.raises(Undecodable, match="key"):
        from_record(None, value, headers)


@given(values)
@example("\u200d")
def test_what_is_fit_is_read(value: str) -> None:
    assert unfit(value) is None
    assert read_with(ce_subject=value.encode()).subject == value


@pytest.mark.parametrize("value", ["", "\x00", "a\tb", "\x7f", "\ud800", "\uffff", "x" * (LONGEST_ATTRIBUTE + 1)])
def test_what_is_unfit_says_why(value: str) -> None:
    assert unfit(value)


def test_a_type_is_taken_apart() -> None:
    placed = "sliceline.orders.order-placed.v12"
    assert parse_type(placed) == ("orders", "order-placed", 12)
    assert topic_of(placed) == "orders.events"
    assert name_without_version(placed) == "sliceline.orders.order-placed"


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "sliceline.orders.order-placed", "sliceline.orders.order-placed.v0", "x.orders.placed.v1"),
        *("sliceline.orders.order-placed.v1\n", "sliceline...v1", "sliceline.orders.../../x.v1"),
        *("sliceline.orders.order-placed.v٣", "sliceline.orders.order-placed.v" + "9" * 5000),
    ],
)
def test_a_malformed_type_is_refused(wrong: str) -> None:
    with pytest.raises(MalformedType):
        parse_type(wrong)


def test_times_of_the_calendar_s_ends_are_read_or_refused() -> None:
    first = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
    assert read_with(ce_time=first.isoformat().encode()).time == "0001-01-02T00:00:00.000000Z"
    with pytest.raises(Undecodable, match="ce_time"):
        read_with(ce_time=b"0001-01-01T00:00:00+01:00")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500000Z"),
        ("2016-12-31T15:59:60-08:00", "2017-01-01T00:00:00.000000Z"),
        ("2015-07-01T05:29:60.250000+05:30", "2015-07-01T00:00:00.250000Z"),
        ("2016-12-31t23:59:60.000000z", "2017-01-01T00:00:00.000000Z"),
        ("2016-12-31T23:59:60.0000000Z", "2017-01-01T00:00:00.000000Z"),
    ],
)
def test_a_leap_second_is_read_as_clocks_without_one_have_it(written: str, read: str) -> None:
    assert from_record(*record_with("ce_time", written.encode())).time == read


@pytest.mark.parametrize(
    "written", ["2016-12-31T12:30:60Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60", "9999-12-31T23:59:60Z"]
)
def test_a_second_that_no_clock_shows_is_refused(written: str) -> None:
    with pytest.raises(Undecodable, match="ce_time"):
        from_record(*record_with("ce_time", written.encode()))


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/vnd.sliceline.order+json",
        b"application/problem+json; charset=utf-8",
        b"APPLICATION/LD+JSON",
        b"text/json",
    ],
)
def test_every_media_type_of_json_is_read(content_type: bytes) -> None:
    assert from_record(*record_with("content-type", content_type)).type == SAMPLE.type


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        (b"Application/CloudEvents+Protobuf", "structured mode is read as JSON only"),
        (b"application/cloudevents-batch+json", "batched mode is not read"),
        (b"text/plain", "content-type is not JSON"),
        (b"+json", "content-type is not JSON"),
        (b"application/json-seq", "content-type is not JSON"),
        (b"", "content-type is not JSON"),
    ],
)
def test_what_is_not_read_says_what_it_is(content_type: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        from_record(*record_with("content-type", content_type))


def record_with(name: str, value: bytes) -> tuple[bytes, bytes, list[tuple[str, bytes | None]]]:
    key, data, headers = to_record(SAMPLE)
    return key, data, [(each, value if each == name else had) for each, had in headers]
