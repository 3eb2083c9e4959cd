"""Patterns may ask for the attributes that events have, and for no others."""

from datetime import UTC, datetime

from backbone.events.attributes import ATTRIBUTES
from backbone.events.deprecation import Deprecation
from backbone.events.payload import Event, Unread
from backbone.events.structured import attributes_of


def test_an_event_has_just_the_attributes_that_patterns_may_ask_for() -> None:
    event = Event(
        id="1",
        type="sliceline.orders.order-placed.v1",
        source="/sliceline/orders",
        subject="o",
        time=datetime(2026, 11, 1, tzinfo=UTC),
        key="o",
        correlationid="c",
        causationid="2",
        occurrenceid="3",
        sequence=1,
        traceparent="00-1-1-01",
        deprecation=Deprecation("2026-11-27T00:00:00.000000Z", "2027-05-31T00:00:00.000000Z", "urn:next"),
        data=Unread(topic="orders.events", dataschema="urn:s", text=b"{}"),
    )
    assert tuple(attributes_of(event)) == ATTRIBUTES
