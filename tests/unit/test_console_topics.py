"""What pages about topics, events, the map and contracts say and where they put it: without a browser."""

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from services.console import forms
from services.console.asking import Ask, Refused, Services
from services.console.drawing import Box, Row, centred, draw, halves, stack
from services.console.masked import PLAIN, brief, masked, pretty
from services.console.pages.contracts import wanted
from services.console.pages.tailing import is_held, moment_of
from services.console.pages.topology import declared, flow, rules_and_targets, topics
from services.console.session import Session
from services.console.traffic import Traffic, read

SEALED = f"sealed:1:orders.{'a' * 22}:{'b' * 40};"
PLACED, PAID = "sliceline.orders.order-placed.v1", "sliceline.payments.payment-received.v1"


def asked(*scopes: str, **query: str) -> Ask:
    session = Session("rita", frozenset(scopes), "", float("inf"))
    return Ask(session, Services(None, {}), query=query)  # type: ignore[arg-type]  # nobody is asked here


@pytest.fixture
def traffic() -> Traffic:
    rates = {"items": [{"topic": "orders.events", "type": PLACED, "events": 12, "last_at": "2026-11-01T10:00:00Z"}]}
    live: Any = {
        "services": {
            "payments": {"read": {PLACED: 40}, "lag": {"orders.events": 0}},
            "kitchen": {"read": {}, "lag": {"orders.events": 34, "payments.events": 5000}},
            "loyalty": None,
        }
    }
    return read(rates, live)


def test_traffic_tells_who_reads_how_much_and_who_does_not_answer(traffic: Traffic) -> None:
    assert traffic.topics == ["orders.events", "payments.events"]
    assert traffic.readers("orders.events") == {"payments": 0, "kitchen": 34}
    assert (traffic.count("orders.events"), traffic.count_of(PAID)) == (12, 0)
    assert (traffic.last("orders.events"), traffic.last("payments.events")) == ("2026-11-01T10:00:00Z", None)
    assert (traffic.seen_reading(PLACED), traffic.silent) == (["payments"], ["loyalty"])


def test_a_way_says_how_much_goes_through_and_how_far_its_end_is_behind(traffic: Traffic) -> None:
    assert flow(traffic, "orders.events", "payments", [PLACED]) == ("12/min ✓", "busy")
    assert flow(traffic, "orders.events", "kitchen", [PLACED]) == ("12/min, 34 behind", "waits")
    assert flow(traffic, "payments.events", "kitchen", [PAID]) == ("0/min, 5,000 behind", "wrong")
    assert flow(traffic, "orders.events", "loyalty", [PLACED]) == ("12/min, not known", "wrong")


def test_the_map_has_a_box_for_each_topic_and_reader_and_a_row_for_each_way(traffic: Traffic) -> None:
    reads = declared(
        [
            {"service": "orders", "type": PLACED, "readers": ["payments", "kitchen"]},
            {"service": "payments", "type": PAID, "readers": ["kitchen"]},
        ]
    )
    boxes, ways = topics(traffic, reads, {"orders"})
    rows = {box.key: [each.key for each in box.rows] for box in boxes}
    assert rows["kitchen"] == ["orders.events", "payments.events"]
    assert {(way.start[0], way.end) for way in ways} == {
        ("orders.events", ("payments", "orders.events")),
        ("orders.events", ("kitchen", "orders.events")),
        ("payments.events", ("kitchen", "payments.events")),
    }
    drawn = ElementTree.fromstring(str(draw("The map", boxes, ways)))  # noqa: S314  our own
    assert len(drawn.findall("path")) == 3
    assert {each.get("href") for each in drawn.iter("a")} >= {
        "/topics/orders.events",
        "/consumers/kitchen",
        "/contracts?service=orders",
    }


def test_rules_lead_from_buses_to_targets_also_to_one_that_is_not_there() -> None:
    rule = {"id": "r", "name": "Large", "bus": "default", "enabled": True, "version": 1}
    rule["targets"] = [{"webhook": "gone", "bus": None, "input": None}, {"webhook": None, "bus": "b", "input": None}]
    known = {"id": "there", "status": "active", "pattern": None}
    boxes, ways = rules_and_targets([rule], [known])
    assert {box.key for box in boxes} == {"bus:default", "rule:r", "endpoint:gone", "endpoint:there", "bus-to:b"}
    assert [way.end[0] for way in ways] == ["rule:r", "endpoint:gone", "bus-to:b"]
    [gone] = [box for box in boxes if box.key == "endpoint:gone"]
    assert (gone.to, gone.rows[0].text) == (None, "! there is none")


def test_boxes_of_a_column_do_not_overlap_and_columns_are_level() -> None:
    boxes = [Box(f"{number}", "", None, tuple(Row(f"{each}", "") for each in range(number))) for number in range(6)]
    left, right = halves(boxes)
    placed = centred([stack(left, 0, 10), stack(right, 50, 10)])
    for column in (0, 50):
        own = [box for box in placed if box.x == column]
        assert all(above.y + above.height < below.y for above, below in pairwise(own))
    assert {box.key for box in placed} == {box.key for box in boxes}


def test_whoever_only_reads_sees_other_text_of_the_same_shape_and_the_same_by_the_same() -> None:
    event = {"key": "c-17", "subject": "o-1", "data": {"customer": {"id": "c-17", "name": SEALED}, "order": "o-1"}}
    assert masked(asked("ledger.read", PLAIN), event) is event
    shown = masked(asked("ledger.read"), event)
    assert shown["key"] == shown["data"]["customer"]["id"] != "c-17"
    assert (shown["data"]["order"], shown["subject"]) == ("o-1", "o-1")
    assert masked(asked("ledger.read"), event) == shown
    assert brief(shown["data"]).count("(sealed)") == 1


def test_data_is_cut_to_a_line_and_what_nobody_can_read_is_shown_as_it_is() -> None:
    assert brief({"text": "a" * 500}).endswith("…")
    assert (brief("\\xff{"), pretty("\\xff{")) == ("\\xff{", "\\xff{")


def test_a_moment_without_a_zone_is_utc_and_what_is_none_is_left_out() -> None:
    assert moment_of("2026-11-01T10:00") == "2026-11-01T10:00Z"
    assert moment_of("2026-11-01T10:00:00+01:00") == "2026-11-01T10:00:00+01:00"
    assert (moment_of(""), moment_of("yesterday")) == (None, None)
    assert [is_held(asked(**each)) for each in ({}, {"at": "x"}, {"after": "x"})] == [False, True, True]


def test_contracts_are_found_by_text_publisher_and_reader() -> None:
    known = [
        {"type": PLACED, "description": "A customer placed an order.", "service": "orders", "readers": ["payments"]},
        {"type": PAID, "description": "Money came.", "service": "payments", "readers": []},
    ]
    assert wanted(known, {}) == known
    assert wanted(known, {"q": "CUSTOMER"}) == wanted(known, {"reader": "payments"}) == known[:1]
    assert wanted(known, {"service": "payments", "q": "money"}) == known[1:]


def test_json_of_a_form_is_read_and_what_is_wrong_within_a_field_is_said_there() -> None:
    assert (forms.read_json(' {"a": 1}'), forms.read_json(" ")) == ({"a": 1}, None)
    with pytest.raises(forms.NotJson, match="is no JSON"):
        forms.read_json("{")
    errors = [{"field": "pattern.data", "message": "is to be an object"}, {"field": "name", "message": "must be"}]
    refused = Refused("router", 422, "Unsound rule", "", {"errors": errors})
    assert forms.within(refused, "pattern") == "data: is to be an object"
    assert (forms.within(refused, "name"), forms.within(refused, "bus")) == ("must be", None)
