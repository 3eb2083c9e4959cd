"""What operators are told of throughput: in a sentence, in what the browser draws, and in a table."""

import json
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import htpy as h

from services.console.throughput import Mark, chart, divided, said

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def throughput(**statuses: list[int]) -> dict[str, Any]:
    known = {each: [0] * 3 for each in ("placed", "completed", "rejected", "cancelled")} | statuses
    told = [{"status": status, "orders": orders} for status, orders in known.items()]
    return {"since": NOON.isoformat(), "step_seconds": 15, "statuses": told}


def test_a_step_sums_up_how_orders_ended_and_holds_what_was_changed_in_it() -> None:
    marks = [Mark(NOON + timedelta(seconds=at), str(at)) for at in (-1, 15, 29.9, 45)]
    steps = divided(throughput(placed=[1, 0, 4], rejected=[0, 1, 0], cancelled=[0, 2, 0]), marks)
    assert [step.orders for step in steps] == [
        {"placed": 1, "completed": 0, "otherwise": 0},
        {"placed": 0, "completed": 0, "otherwise": 3},
        {"placed": 4, "completed": 0, "otherwise": 0},
    ]
    assert [step.changed for step in steps] == [(), ("15", "29.9"), ()]
    assert said(steps) == (
        "In the last quarter of an hour 5 orders were placed, 0 completed, and 3 rejected or cancelled."
    )


def test_what_the_browser_draws_is_what_the_table_says_and_what_was_changed_is_only_text() -> None:
    hostile = "<script>\"'"
    shown = str(h.div[chart(throughput(placed=[0, 1, 0]), [Mark(NOON, hostile)])])
    drawn = json.loads(unescape(shown.partition('data-drawn="')[2].partition('"')[0]))
    assert (drawn["placed"], drawn["changes"]) == ([0, 1, 0], [[NOON.timestamp(), hostile]])
    assert "<script" not in shown
    assert shown.count("<tr id=") == 2
    assert "1 order was placed" in shown


def test_where_no_order_was_and_none_ended_it_is_said_how_to_place_one() -> None:
    shown = str(h.div[chart(throughput(), [Mark(NOON, "a change")])])
    assert "./sliceline order" in shown
    assert "throughput-said" not in shown
