"""Records are fed in their order: that in which Kafka took them, and within a key that of their sequence."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from backbone.consuming.batch import Letter, read
from backbone.events.deprecation import Deprecation
from backbone.events.envelope import Envelope, to_record
from backbone.events.payload import every_record_of
from backbone.events.structured import attributes_of
from backbone.http.routes.archived import ArchivedRecord
from services.ledger.kept import as_patterns_see_it, kept
from services.ledger.records import Place, in_sequence, read_place


def row(key: str, sequence: int, topic: str = "orders.events") -> dict[str, Any]:
    return {"source": "/sliceline/orders", "topic": topic, "key": key, "sequence": sequence}


def test_records_in_order_stay_where_they_are() -> None:
    rows = [row("a", 1), row("b", 7), row("a", 2), row("b", 8)]
    assert in_sequence(rows) == rows


def test_records_of_a_key_that_kafkas_clock_has_swapped_change_places_and_no_others_move() -> None:
    rows = [row("a", 2), row("b", 7), row("a", 1), row("a", 1, "other.events")]
    assert in_sequence(rows) == [rows[2], rows[1], rows[0], rows[3]]


def test_the_archive_shows_an_event_as_rules_see_it_also_where_it_says_that_its_type_goes() -> None:
    envelope = Envelope(
        id="1",
        type="sliceline.orders.order-confirmed.v1",
        source="/sliceline/orders",
        subject="o",
        time="2026-11-02T10:00:00.000001Z",
        dataschema="urn:schema",
        partitionkey="o",
        correlationid="c",
        occurrenceid="2",
        sequence=1,
        deprecation=Deprecation("2026-11-27T00:00:00.000000Z", None, "urn:next"),
        data=b'{"order":"o"}',
    )
    key, value, headers = to_record(envelope)
    view = every_record_of("orders.events")
    event = read(Letter("orders.events", 0, 0, key, value, headers), {view.TYPE: view}).event
    assert event is not None
    seen = {**attributes_of(event), "data": {"order": "o"}}
    assert seen["deprecated"] is True
    assert as_patterns_see_it(kept(event)) == seen


def test_a_place_is_read_as_it_was_written_and_one_beyond_the_calendar_is_refused() -> None:
    place = Place(datetime(2026, 11, 27, tzinfo=UTC), "orders.events", 0, 7, "an id")
    assert read_place(str(place)) == place
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(ValueError, match=moment[:19]):
            read_place(f'["{moment}","orders.events",0,7,"an id"]')


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_archived_record_of_a_moment_beyond_the_calendar_is_refused(moment: str) -> None:
    record = {"topic": "a", "partition": 0, "offset": 1, "key": None, "headers": [], "value": None}
    ArchivedRecord.model_validate({**record, "recorded_at": "2026-11-27T12:00:00Z"})
    with pytest.raises(ValidationError, match="within the calendar"):
        ArchivedRecord.model_validate({**record, "recorded_at": moment})
