"""A batch is read whatever it holds, and its halves settle exactly what the whole would."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbone.consuming.batch import Batch, Incoming, printable, read
from backbone.consuming.handlers import topics_of
from backbone.errors import SlicelineError
from backbone.events import contracts
from backbone.events.envelope import Envelope, Undecodable, to_record
from backbone.events.payload import Payload, Unread, every_event_of
from backbone.events.topics import PartitionId

TYPE = "sliceline.things.thing-happened.v1"


class ThingHappened(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = TYPE

    number: int


@dataclass
class FakeRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None = b"a"
    value: bytes | None = b"{}"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    timestamp: int | None = None


PLACES = st.tuples(st.sampled_from(["orders.events", "kitchen.events"]), st.integers(0, 2))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """What a poll brings: a few partitions, each with gaps before, between and after its records."""
    incoming: list[Incoming] = []
    ranges: dict[PartitionId, tuple[int, int]] = {}
    for place in draw(st.lists(PLACES, min_size=1, max_size=4, unique=True)):
        start = draw(st.integers(0, 50))
        offsets = sorted(draw(st.sets(st.integers(start, start + 30), min_size=1, max_size=12)))
        incoming += [Incoming(FakeRecord(*place, offset), "a") for offset in offsets]
        ranges[place] = (start, offsets[-1] + 1)
    return Batch(incoming, ranges)


def settle(batch: Batch, stored: dict[PartitionId, int], settled: list[Incoming]) -> None:
    """As the consumer does it: a batch whose offsets are not where it begins would be fenced."""
    assert all(stored.get(place, start) == start for place, (start, _) in batch.ranges.items())
    for each in batch.incoming:
        start, end = batch.ranges[each.place]
        assert start <= each.record.offset < end
    settled += batch.incoming
    stored.update(batch.ends)


def settle_down_to_single_ones(batch: Batch, stored: dict[PartitionId, int], settled: list[Incoming]) -> None:
    if len(batch.incoming) <= 1:
        settle(batch, stored, settled)
        return
    for half in batch.halves():
        settle_down_to_single_ones(half, stored, settled)


@given(batch=batches())
def test_halves_settle_one_after_the_other_what_the_whole_would(batch: Batch) -> None:
    whole: dict[PartitionId, int] = {}
    halved: dict[PartitionId, int] = {}
    in_order: list[Incoming] = []
    settle(batch, whole, [])
    settle_down_to_single_ones(batch, halved, in_order)
    assert halved == whole
    assert in_order == list(batch.incoming)


@given(batch=batches())
def test_a_crash_between_the_halves_loses_nothing(batch: Batch) -> None:
    if len(batch.incoming) < 2:
        return
    first, second = batch.halves()
    for each in second.incoming:
        assert each.record.offset >= first.ends.get(each.place, each.record.offset)
    for each in first.incoming:
        assert each.record.offset < first.ends[each.place]


@pytest.fixture(scope="module", autouse=True)
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    directory = tmp_path_factory.mktemp("schemas")
    (directory / "things").mkdir()
    schema = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}
    (directory / "things" / "thing-happened.v1.json").write_bytes(orjson.dumps(schema))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts, "SCHEMAS", directory)
        yield


SOUND: dict[str, bytes | None] = {
    "content-type": b"application/json",
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_type": TYPE.encode(),
    "ce_source": b"/things",
    "ce_subject": b"a",
    "ce_time": b"2026-11-01T18:30:00Z",
    "ce_dataschema": b"https://sliceline.invalid/schemas",
    "ce_partitionkey": b"a",
    "ce_correlationid": b"1",
    "ce_occurrenceid": b"1",
    "ce_sequence": b"1",
}
ANY_BYTES = st.one_of(st.none(), st.binary(max_size=40))


def test_a_sound_record_becomes_an_event() -> None:
    delivery = read(FakeRecord("things.events", 0, 0, b"a", b'{"number": 1}', list(SOUND.items())), VIEWS)
    assert delivery.broken is None
    assert delivery.event is not None
    assert delivery.event.data == ThingHappened(number=1)


VIEWS: dict[str, type[Payload]] = {TYPE: ThingHappened}


@settings(max_examples=300)
@given(
    key=st.one_of(st.just(b"a"), ANY_BYTES),
    value=st.one_of(ANY_BYTES, st.sampled_from([b'{"number": 1}', b"[" * 1000 + b"]" * 1000, b"[" * 100_000])),
    spoilt=st.dictionaries(st.sampled_from(sorted(SOUND)), ANY_BYTES, max_size=2),
    left_out=st.sets(st.sampled_from(sorted(SOUND)), max_size=1),
)
def test_reading_tells_what_is_wrong_and_never_raises(
    key: bytes | None, value: bytes | None, spoilt: dict[str, bytes | None], left_out: set[str]
) -> None:
    headers = [(name, had) for name, had in {**SOUND, **spoilt}.items() if name not in left_out]
    delivery = read(FakeRecord("things.events", 0, 7, key, value, headers), VIEWS)
    assert not (delivery.event and delivery.broken)
    assert len(delivery.key) <= 512
    assert delivery.key == printable(delivery.key)


@given(text=st.text(st.characters(codec=None, categories=None)))
def test_printable_text_fits_into_postgres(text: str) -> None:
    assert b"\x00" not in printable(text).encode()


@given(key=st.binary(min_size=1, max_size=3000), other=st.binary(min_size=1, max_size=3000))
def test_different_keys_wait_apart(key: bytes, other: bytes) -> None:
    claiming: list[tuple[str, bytes | None]] = [("ce_type", TYPE.encode())]
    one, two = (read(FakeRecord("t", 0, 0, each, headers=claiming), VIEWS).key for each in (key, other))
    assert (one == two) == (key == other) or b"\\x" in key + other


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "it has no ce_type"),
        ({"ce_type": None}, "it has no ce_type"),
        ({"ce_type": b""}, "it has no ce_type"),
        ({"content-type": b"application/cloudevents+json"}, "it has no ce_type"),
        ({"content-type": b"application/cloudevents+avro"}, "structured mode is read as JSON only"),
        ({"content-type": b"application/cloudevents-batch+json"}, "batched mode is not read"),
        ({"content-type": b"application/avro"}, "it has no ce_type"),
    ],
)
def test_a_record_that_claims_no_type_holds_up_no_key_and_says_what_it_is(
    headers: dict[str, bytes | None], reason: str
) -> None:
    delivery = read(FakeRecord("things.events", 2, 7, b"a", b"{}", list(headers.items())), VIEWS)
    assert delivery.key == "@2:7"
    assert reason in str(delivery.broken)


def test_a_record_in_structured_mode_is_read_and_handed_on_as_the_one_it_would_be_in_binary_mode() -> None:
    binary = FakeRecord("things.events", 2, 7, b"a", b'{"number":1}', list(SOUND.items()))
    attributes = {name.removeprefix("ce_"): (value or b"").decode() for name, value in SOUND.items()}
    attributes["datacontenttype"] = attributes.pop("content-type")
    document = orjson.dumps({**attributes, "data": {"number": 1}})
    one = FakeRecord("things.events", 2, 7, b"a", document, [("content-type", b"application/cloudevents+json")])
    wanted, read_one = read(binary, VIEWS), read(one, VIEWS)
    assert read_one.event is not None, read_one.broken
    assert (read_one.key, read_one.event) == (wanted.key, wanted.event)
    assert dict(read_one.record.headers) == SOUND
    assert read_one.record.value == binary.value


@pytest.mark.parametrize("document", [b"{", b"[]", b'{"type": 1.5}', b'{"data": 1, "data_base64": "MQ=="}'])
def test_a_document_that_cannot_be_read_holds_up_no_key(document: bytes) -> None:
    one = FakeRecord("things.events", 2, 7, b"a", document, [("content-type", b"application/cloudevents+json")])
    delivery = read(one, VIEWS)
    assert (delivery.key, type(delivery.broken)) == ("@2:7", Undecodable)


def test_a_record_of_a_foreign_type_is_no_concern_of_ours() -> None:
    delivery = read(FakeRecord("things.events", 2, 7, b"a", b"{}", [("ce_type", b"com.example.other")]), VIEWS)
    assert (delivery.key, delivery.event, delivery.broken) == ("@2:7", None, None)


def test_a_broken_record_that_claims_a_type_of_ours_parks_its_key() -> None:
    for spoilt in ({"content-type": b"application/cloudevents-batch+json"}, {"ce_time": b"noon"}, {"ce_id": None}):
        headers = list({**SOUND, **spoilt}.items())
        delivery = read(FakeRecord("things.events", 2, 7, b"a", b'{"number": 1}', headers), VIEWS)
        assert delivery.key == "a"
        assert delivery.broken is not None


@pytest.mark.parametrize("number", [b"1.0", b"1e0", b"10E-1", b"1.000"])
def test_a_whole_number_of_an_event_may_be_written_as_json_schema_allows(number: bytes) -> None:
    delivery = read(FakeRecord("things.events", 0, 0, b"a", b'{"number": %b}' % number, list(SOUND.items())), VIEWS)
    assert delivery.event is not None, delivery.broken
    assert (type(delivery.event.data.number), delivery.event.data.number) == (int, 1)


@pytest.mark.parametrize("number", [b"1.5", b"true", b'"1"', b"9007199254740993.0", b"1e300", b"null"])
def test_whatever_else_stands_for_a_number_breaks_the_event(number: bytes) -> None:
    delivery = read(FakeRecord("things.events", 0, 0, b"a", b'{"number": %b}' % number, list(SOUND.items())), VIEWS)
    assert delivery.broken is not None


EVERY = every_event_of("things.events")


def anything(event_type: str, data: bytes, topic: str = "things.events") -> FakeRecord:
    envelope = Envelope(
        id="1",
        type=event_type,
        source="/elsewhere",
        subject="a",
        time="2026-11-01T18:30:00.000000Z",
        dataschema="https://elsewhere.example/schema.json",
        partitionkey="a",
        correlationid="story",
        occurrenceid="o",
        sequence=1,
        data=data,
    )
    key, value, headers = to_record(envelope)
    return FakeRecord(topic, 0, 7, key, value, [*headers])


@pytest.mark.parametrize("event_type", ["sliceline.things.never-heard-of.v9", "com.example.others"])
def test_a_reader_of_a_whole_topic_gets_an_event_of_any_type_as_it_came(event_type: str) -> None:
    incoming = read(anything(event_type, b'{"a": [1.0]}'), {EVERY.TYPE: EVERY})
    assert incoming.event is not None
    assert (incoming.event.type, incoming.event.source, incoming.key) == (event_type, "/elsewhere", "a")
    assert incoming.event.data == EVERY(
        topic=EVERY.TYPE, dataschema="https://elsewhere.example/schema.json", text=b'{"a": [1.0]}'
    )


def test_a_reader_of_a_whole_topic_gets_no_event_of_another() -> None:
    assert read(anything("com.example.others", b"{}", "kitchen.events"), {EVERY.TYPE: EVERY}).event is None


def test_the_view_of_an_event_comes_before_that_of_its_whole_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "check", lambda *_: None)
    views: dict[str, type[Payload]] = {TYPE: ThingHappened, EVERY.TYPE: EVERY}
    [own, other] = [read(anything(each, b'{"number": 7}'), views) for each in (TYPE, "sliceline.things.other.v1")]
    assert own.event is not None
    assert own.event.data == ThingHappened(number=7)
    assert other.event is not None
    assert isinstance(other.event.data, Unread)


@pytest.mark.parametrize("data", [b"", b"{", b"{} {}", b"\xff"])
def test_what_is_no_json_is_broken_for_a_reader_of_a_whole_topic_too(data: bytes) -> None:
    incoming = read(anything("com.example.others", data), {EVERY.TYPE: EVERY})
    assert isinstance(incoming.broken, SlicelineError)
    assert incoming.key == "a"


def test_handlers_need_the_topics_of_their_types_and_those_that_they_take_whole() -> None:
    async def handle(*_: object) -> None:
        """Do nothing."""

    assert topics_of({ThingHappened: handle, every_event_of("orders.events"): handle}) == [
        "orders.events",
        "things.events",
    ]
