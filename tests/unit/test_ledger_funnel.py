"""The funnel: where orders stand by what was told of them, which is the oldest there, and which are stuck."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services import CATALOGUE
from services.ledger.funnel import ENDS, PROGRESS, STATUSES, Group, expected_of, funnel, status_of
from services.ledger.wiring import types_of, wiring

BEGAN = datetime(2026, 11, 1, 18, tzinfo=UTC)
PLACED, CONFIRMED = "orders.order-placed", "orders.order-confirmed"
PREPARED, BAKED = "kitchen.pizza-prepared", "kitchen.pizza-baked"
ASKED, REFUSED = "orders.order-cancellation-requested", "kitchen.cancellation-refused"


def group(minute: int, *told: str, orders: int = 1, **more: Any) -> Group:
    """Orders of which this was told, the oldest placed in this minute."""
    at = BEGAN + timedelta(minutes=minute)
    return Group(frozenset({PLACED, *told}), False, orders, f"o-{minute}", at, at, **more)


@pytest.mark.parametrize(
    ("told", "is_collected", "status"),
    [
        ({PLACED}, False, "placed"),
        ({PLACED, "orders.order-backordered"}, False, "backordered"),
        ({PLACED, "orders.order-backordered", "inventory.stock-reserved"}, False, "placed"),
        ({PLACED, CONFIRMED}, False, "confirmed"),
        ({PLACED, CONFIRMED, ASKED}, False, "cancelling"),
        ({PLACED, CONFIRMED, ASKED, REFUSED}, False, "confirmed"),
        ({PLACED, CONFIRMED, ASKED, PREPARED}, False, "preparing"),
        ({PLACED, CONFIRMED, PREPARED, BAKED}, False, "baked"),
        ({PLACED, CONFIRMED, PREPARED, BAKED}, True, "ready"),
        ({PLACED, CONFIRMED, "orders.order-completed"}, False, "completed"),
        ({PLACED, "orders.order-cancelled"}, False, "cancelled"),
    ],
)
def test_an_order_stands_where_its_events_have_brought_it(told: set[str], is_collected: bool, status: str) -> None:
    assert status_of(frozenset(told), is_collected) == status


def test_orders_are_counted_by_status_with_the_oldest_of_each() -> None:
    found = funnel([group(5, orders=2), group(3, "payments.payment-received"), group(1, CONFIRMED, orders=4)], 10)
    levels = {level.status: level for level in found.levels}
    assert found.came == 7
    assert [levels[each].orders for each in ("placed", "confirmed", "completed")] == [3, 4, 0]
    assert levels["placed"].oldest is not None
    assert levels["placed"].oldest.order == "o-3"
    assert levels["completed"].oldest is None
    assert tuple(levels) == STATUSES


def test_only_orders_that_have_not_ended_are_stuck_the_longest_first() -> None:
    def stuck(minute: int, *told: str) -> Group:
        since = [BEGAN + timedelta(minutes=minute)]
        return group(minute, *told, stuck=1, longest=[f"o-{minute}"], since=since)

    found = funnel([stuck(2), stuck(1, CONFIRMED), stuck(0, "orders.order-completed")], 1)
    assert found.stuck_orders == 2
    assert [(each.order, each.status) for each in found.stuck] == [("o-1", "confirmed")]


def test_what_is_asked_for_is_the_end_that_an_order_goes_to() -> None:
    assert {expected_of(status) for status in STATUSES if status not in ENDS} == {
        "orders.order-cancelled",
        "orders.order-completed",
    }


def test_progress_is_told_by_events_that_have_contracts() -> None:
    known = wiring(tuple(CATALOGUE))
    assert {each.rsplit(".v", 1)[0] for each in types_of(known, PROGRESS)} == {f"sliceline.{name}" for name in PROGRESS}
