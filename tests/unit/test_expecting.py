"""What is expected of an order: the step that comes next where it stands, at its usual time, and nothing at an end."""

from datetime import timedelta

import pytest

from services.orders.decisions import Decision
from services.orders.expecting import expected_of, limits
from services.orders.order import ENDS, Fact, Status
from services.orders.settings import Settings
from services.orders.tables import LATE_IN
from tests.unit.test_orders_decisions import NOW, Life, confirmed, placed

USUAL = Settings(database_url="postgresql://nobody@nowhere/nothing").usual
DRINKS = (("cola", 1),)


def expected(life: Life) -> tuple[Status, timedelta] | None:
    found = expected_of(life.order, USUAL)
    return (found.step, found.at - life.order.stepped_at) if found else None


@pytest.mark.parametrize(
    ("start", "facts", "step"),
    [
        (placed(), (), Status.PREPARING),
        (placed(), (Fact.PREPARED,), Status.BAKED),
        (placed(), (Fact.PREPARED, Fact.BAKED), Status.DISPATCHED),
        (placed(), (Fact.PREPARED, Fact.BAKED, Fact.DISPATCHED), Status.COMPLETED),
        (placed("collection"), (Fact.PREPARED,), Status.READY),
        (placed("collection"), (Fact.PREPARED, Fact.BAKED), Status.COMPLETED),
        (placed(items=DRINKS), (), Status.DISPATCHED),
        (placed("collection", DRINKS), (), Status.COMPLETED),
    ],
)
def test_a_confirmed_order_expects_what_its_lines_and_its_fulfilment_need(
    start: Decision, facts: tuple[Fact, ...], step: Status
) -> None:
    assert expected(confirmed(start).learn(*facts)) == (step, USUAL[step])


def test_before_and_beside_that_a_decision_is_expected() -> None:
    assert expected(Life()) == (Status.CONFIRMED, timedelta(seconds=10))
    assert expected(Life().learn(Fact.STOCK_RESERVED)) == (Status.CONFIRMED, timedelta(seconds=10))
    assert expected(confirmed().cancel()) == (Status.CANCELLED, timedelta(seconds=30))


def test_nobody_says_when_stock_will_come() -> None:
    assert expected(Life().learn(Fact.STOCK_SHORT)) is None


@pytest.mark.parametrize("end", [Fact.STOCK_REJECTED, Fact.PAYMENT_FAILED])
def test_nothing_is_expected_at_an_end(end: Fact) -> None:
    ended = [Life().learn(end), Life().cancel(), confirmed().learn(Fact.DELIVERED)]
    assert {life.order.status for life in ended} == ENDS
    assert [expected(life) for life in ended] == [None, None, None]


def test_every_step_that_can_be_expected_has_a_usual_time() -> None:
    assert set(Status) - USUAL.keys() == {Status.PLACED, Status.BACKORDERED, Status.CANCELLING, Status.REJECTED}


def test_the_time_counts_from_when_the_order_came_where_it_stands() -> None:
    found = expected_of(Life().order, USUAL)
    assert found is not None
    assert found.at == NOW + timedelta(seconds=10)


def test_an_order_can_be_late_in_those_statuses_that_have_an_index() -> None:
    assert {each.status for each in limits(USUAL)} == set(LATE_IN)
