"""What the log tells of events that were handled."""

import logging

import pytest
import structlog
from structlog.testing import capture_logs

from backbone.consuming import batch_processor
from backbone.ids import new_id
from services.kitchen.service import SERVICE as KITCHEN
from services.loyalty.service import SERVICE as LOYALTY
from tests.conftest import NewDatabase
from tests.integration.one_service import fed

COMPLETED = "sliceline.orders.order-completed.v1"
CANCELLED = "sliceline.orders.order-cancelled.v1"


def _completed(order: str) -> dict[str, object]:
    return {"order": order, "customer_id": "ada", "total": {"amount": 2900, "currency": "GBP"}}


async def test_an_order_can_be_followed_through_the_log(new_database: NewDatabase) -> None:
    orders = [new_id() for _ in range(3)]
    async with fed(LOYALTY, new_database) as loyalty:
        with capture_logs() as lines:
            await loyalty.feed(*((COMPLETED, _completed(order)) for order in orders))
    told = [line for line in lines if line.get("action") == "event-handled"]
    assert [line["key"] for line in told] == orders
    assert {line["event_type"] for line in told} == {COMPLETED}
    assert {line["log_level"] for line in told} == {"debug"}


async def test_an_event_that_came_twice_is_told_once(new_database: NewDatabase) -> None:
    async with fed(LOYALTY, new_database) as loyalty:
        record = loyalty.record(COMPLETED, _completed(new_id()))
        with capture_logs() as lines:
            await loyalty.deliver(record, record)
            await loyalty.deliver(record)
    assert [line["action"] for line in lines].count("event-handled") == 1


async def test_at_info_handled_events_are_not_told(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = structlog.wrap_logger(
        structlog.PrintLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )
    monkeypatch.setattr(batch_processor, "logger", quiet)
    monkeypatch.setattr(batch_processor, "_tell_each", lambda _: pytest.fail("it was told"))
    async with fed(KITCHEN, new_database) as kitchen:
        await kitchen.feed((CANCELLED, {"order": new_id(), "customer": {"id": "ada"}, "reason": "Changed my mind."}))
