"""An event whose data travels apart says where it lies and what it has to be; nothing else is fetched or believed."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace as replaced

from backbone.consuming import claims
from backbone.consuming.batch import Batch, Incoming, NotFetched, read
from backbone.events.dataref import Corrupt, ForeignReference, parse, reference_to
from backbone.events.documents import document_of
from backbone.events.envelope import Undecodable, from_record, to_record
from backbone.events.payload import every_event_of
from backbone.storage import objects
from tests.unit.test_batch import FakeRecord
from tests.unit.test_envelope import SAMPLE, attributes_of

DAY = date(2026, 11, 28)
DATA = b'{"order":"0193a5c0-0000-7000-8000-00000000000a"}'
REFERENCE = reference_to(DATA, "orders", DAY)
VIEWS = {"orders.events": every_event_of("orders.events")}


def claimed(**changes: Any) -> FakeRecord:
    """The record of the sample, with its data elsewhere."""
    key, value, headers = to_record(replaced(SAMPLE, data=b"", dataref=REFERENCE))
    return replace(FakeRecord("orders.events", 0, 7, key, value, [*headers]), **changes)


def test_a_reference_says_whose_it_is_when_it_was_put_and_what_it_has_to_be() -> None:
    assert f"orders/2026-11-28/{len(DATA)}-{sha256(DATA).hexdigest()}.json" == REFERENCE
    parse(REFERENCE).check(DATA)


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "https://example.com/secret",
        "file:///etc/passwd",
        "../orders/2026-11-28/1-" + "a" * 64 + ".json",
        f"/{REFERENCE}",
        f"{REFERENCE}?more",
        REFERENCE.upper(),
        REFERENCE.replace(f"/{len(DATA)}-", "/99999999999-"),
        REFERENCE.replace(f"/{len(DATA)}-", "/-1-"),
    ],
)
def test_what_lies_anywhere_but_in_our_store_is_not_fetched(foreign: str) -> None:
    with pytest.raises(ForeignReference, match="none of ours"):
        parse(foreign)


@pytest.mark.parametrize("found", [DATA[:-1], DATA + b" ", DATA.replace(b"a", b"b"), b""])
def test_what_is_not_what_was_put_there_is_not_believed(found: bytes) -> None:
    with pytest.raises(Corrupt, match=REFERENCE):
        parse(REFERENCE).check(found)


def test_an_event_without_its_data_is_written_and_read_with_its_reference() -> None:
    record = claimed()
    assert dict(record.headers)["ce_dataref"] == REFERENCE.encode()
    envelope = from_record(record.key, record.value, record.headers)
    assert (envelope.dataref, envelope.data) == (REFERENCE, b"")
    assert from_record(record.key, None, record.headers) == envelope


def test_data_that_came_along_counts_whatever_is_said_of_elsewhere() -> None:
    record = claimed(value=DATA)
    assert from_record(record.key, record.value, record.headers) == replaced(SAMPLE, data=DATA)


def test_a_tombstone_is_no_event() -> None:
    key, _, headers = to_record(SAMPLE)
    with pytest.raises(Undecodable, match="tombstone"):
        from_record(key, None, headers)


def test_an_event_without_its_data_is_held_back_until_it_is_fetched_and_no_other() -> None:
    key, value, headers = to_record(SAMPLE)
    whole = FakeRecord("orders.events", 0, 6, key, value, list(headers))
    incoming = [read(whole, VIEWS), read(claimed(), VIEWS), read(claimed(topic="kitchen.events"), VIEWS)]
    assert [type(each.broken) for each in incoming] == [type(None), NotFetched, type(None)]
    assert incoming[1].key == SAMPLE.partitionkey
    assert list(batch_of(*incoming).not_fetched) == [1]


def test_an_event_in_structured_mode_may_have_its_data_elsewhere_as_well() -> None:
    attributes = attributes_of(replaced(SAMPLE, dataref=REFERENCE))
    document = document_of(attributes, b"0").replace(b',"data":0', b"")
    headers = [("content-type", b"application/cloudevents+json")]
    incoming = read(claimed(value=document, headers=headers), VIEWS)
    assert isinstance(incoming.broken, NotFetched)
    assert incoming.broken.dataref == REFERENCE


def test_a_batch_whose_data_is_too_much_at_once_is_one_to_be_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MOST_AT_ONCE", 2 * len(DATA))
    one = read(claimed(), VIEWS)
    foreign = read(claimed(headers=[*to_record(SAMPLE)[2], ("ce_dataref", b"https://example.com")]), VIEWS)
    assert not claims.are_too_much(batch_of(one, one, foreign))
    assert claims.are_too_much(batch_of(one, one, one))


async def test_what_cannot_be_had_because_no_store_is_named_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_address", None)
    [incoming] = await claims.redeem_all([read(claimed(), VIEWS)], VIEWS)
    assert isinstance(incoming.broken, objects.NoStore)
    assert "SLICELINE_OBJECTS" in str(incoming.broken)


@pytest.mark.parametrize("hour", [0, 23])
def test_data_is_kept_for_whole_days(hour: int) -> None:
    now = datetime(2026, 11, 28, hour, 59, tzinfo=UTC)
    assert objects._first_day(now, timedelta(days=21)) == date(2026, 11, 7)


def batch_of(*incoming: Incoming) -> Batch:
    return Batch(incoming, {("orders.events", 0): (0, 9)})
