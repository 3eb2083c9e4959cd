"""Refunds in orders: never more than was paid, whatever is asked for and in whatever order it ends."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders import refunds
from services.orders.decisions import Decision
from services.orders.events import Money, OrderRefunded, OrderRefundRequested, RefundFailed, RefundPaid
from services.orders.order import Fact, Order, Refund, RefundStatus, Status
from services.orders.refunds import NothingPaid, TooMuch
from tests.told import told
from tests.unit.test_orders_decisions import Life, confirmed, placed

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)


def pounds(amount: int) -> Money:
    return Money(amount, "GBP")


def refund(amount: int, status: RefundStatus = RefundStatus.REQUESTED, name: str = "r0") -> Refund:
    return Refund(name, pounds(amount), "cold", "ann", status, NOW)


def test_a_part_of_what_was_paid_is_asked_for_by_name() -> None:
    order = confirmed().order
    decision = refunds.request(order, [], pounds(500), "It came cold.", "ann", "r1", NOW)
    [event] = told(decision)
    assert isinstance(event, OrderRefundRequested)
    assert (event.refund, event.amount, event.reason, event.by) == ("r1", pounds(500), "It came cold.", "ann")
    assert decision.refunds == (Refund("r1", pounds(500), "It came cold.", "ann", RefundStatus.REQUESTED, NOW),)
    assert [entry.text for entry in decision.entries] == ["A refund of 5.00 GBP is asked for: It came cold."]
    assert (decision.state.status, decision.state.version) == (order.status, order.version + 1)


def test_without_an_amount_all_that_is_left_is_asked_for() -> None:
    earlier = [refund(500), refund(900, RefundStatus.PAID), refund(1000, RefundStatus.FAILED)]
    decision = refunds.request(confirmed().order, earlier, None, "cold", "ann", "r1", NOW)
    assert decision.refunds[0].amount == pounds(2400 - 500 - 900)


@pytest.mark.parametrize(
    ("earlier", "amount", "left"),
    [
        ([], 2401, 2400),
        ([refund(2000)], 401, 400),
        ([refund(2400)], None, 0),
        ([refund(2400, RefundStatus.PAID)], 1, 0),
    ],
    ids=str,
)
def test_more_than_is_left_is_refused(earlier: list[Refund], amount: int | None, left: int) -> None:
    with pytest.raises(TooMuch) as refusal:
        refunds.request(confirmed().order, earlier, pounds(amount) if amount else None, "cold", "ann", "r1", NOW)
    assert refusal.value.left == pounds(left)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (Life().order, "has not been charged"),
        (Life().learn(Fact.STOCK_RESERVED).order, "has not been charged"),
        (Life().learn(Fact.PAYMENT_FAILED).order, "is rejected"),
        (Life().learn(Fact.PAYMENT_RECEIVED).cancel().order, "is cancelled"),
        (Life().learn(Fact.PAYMENT_RECEIVED, Fact.STOCK_REJECTED, Fact.PAYMENT_UNDONE).order, "is rejected"),
    ],
    ids=["placed", "reserved", "rejected", "cancelled", "undone"],
)
def test_what_was_not_charged_or_is_undone_anyhow_is_not_refunded(order: Order, why: str) -> None:
    with pytest.raises(NothingPaid, match=why):
        refunds.request(order, [], None, "cold", "ann", "r1", NOW)


@pytest.mark.parametrize("start", [placed(), placed("collection")])
def test_an_order_that_has_ended_well_can_be_refunded(start: Decision) -> None:
    order = confirmed(start).learn(Fact.COLLECTED).order
    assert order.status is Status.COMPLETED
    assert told(refunds.request(order, [], None, "cold", "ann", "r1", NOW))


def test_what_was_given_back_is_told_with_whom_it_concerns() -> None:
    order = confirmed().order
    decision = refunds.paid(order, RefundPaid(order="o1", refund="r1", amount=pounds(500), reason="cold"), NOW)
    [event] = told(decision)
    assert event == OrderRefunded(order="o1", customer=order.customer, refund="r1", amount=pounds(500), reason="cold")
    assert [(each.id, each.status) for each in decision.settled] == [("r1", RefundStatus.PAID)]
    assert [entry.text for entry in decision.entries] == ["5.00 GBP was refunded."]


def test_what_failed_stays_in_the_timeline_with_the_reason() -> None:
    fact = RefundFailed(order="o1", refund="r1", amount=pounds(500), why="The payment is voided.")
    decision = refunds.failed(confirmed().order, fact, NOW)
    assert told(decision) == []
    assert [(each.status, each.failure) for each in decision.settled] == [
        (RefundStatus.FAILED, "The payment is voided.")
    ]
    assert decision.entries[0].text == "The refund of 5.00 GBP failed: The payment is voided."


asked = st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 3000)), st.booleans()), max_size=12)


@given(asked)
def test_whatever_is_asked_for_no_more_is_given_back_than_was_paid(wanted: list[tuple[int | None, bool]]) -> None:
    order, known = confirmed().order, list[Refund]()
    for number, (amount, fails) in enumerate(wanted):
        try:
            decision = refunds.request(
                order, known, pounds(amount) if amount else None, "cold", "ann", f"r{number}", NOW
            )
        except TooMuch:
            continue
        status = RefundStatus.FAILED if fails else RefundStatus.PAID
        known += [refund(each.amount.amount, status, each.id) for each in decision.refunds]
        assert 0 <= sum(each.amount.amount for each in known if each.status is RefundStatus.PAID) <= 2400
