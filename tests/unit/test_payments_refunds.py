"""Refunds in payments: decided under the payment's lock, settled once, and in any order of all that can happen."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from backbone.decision import Start
from backbone.events.payload import Payload
from services.payments import decisions
from services.payments.decisions import Decision, Payment, Refund, Status, Task
from services.payments.events import Money, OrderRefundRequested, PaymentRefunded, RefundFailed, RefundPaid
from tests.told import told

PAID = 2400


def standing(status: Status = Status.RECEIVED, given_back: int = 0) -> Payment:
    return Payment(order="o1", customer="ada", amount=Money(PAID, "GBP"), status=status, given_back=given_back)


def requested(amount: int, name: str = "r1", currency: str = "GBP") -> OrderRefundRequested:
    return OrderRefundRequested(order="o1", refund=name, amount=Money(amount, currency), reason="cold")


def test_a_refund_counts_as_given_back_from_the_moment_it_is_asked_for() -> None:
    decision = decisions.order_refund_requested(standing(), requested(500))
    assert decision.state.given_back == 500
    assert decision.start == (Start(Task.REFUND, "r1", {"order": "o1"}),)
    assert [(each.id, each.amount.amount, each.status) for each in decision.refunds] == [("r1", 500, "requested")]
    assert told(decision) == []


@pytest.mark.parametrize(
    ("payment", "fact", "why"),
    [
        (standing(given_back=2000), requested(401), "Only 4.00 GBP is left of the payment."),
        (standing(), requested(1, currency="EUR"), "Only 24.00 GBP is left of the payment."),
        (None, requested(1), "The payment is withdrawn."),
        *(
            (standing(status), requested(1), f"The payment is {status}.")
            for status in Status
            if status is not Status.RECEIVED
        ),
    ],
    ids=str,
)
def test_what_cannot_be_given_back_fails_at_once(payment: Payment | None, fact: OrderRefundRequested, why: str) -> None:
    decision = decisions.order_refund_requested(payment, fact)
    [failed] = told(decision)
    assert isinstance(failed, RefundFailed)
    assert (failed.why, decision.start, decision.refunds[0].status) == (why, (), "failed")
    assert decision.state.given_back == (payment.given_back if payment else 0)


def test_a_refund_that_the_provider_refuses_can_be_asked_for_again() -> None:
    asked = decisions.order_refund_requested(standing(), requested(PAID))
    refused = decisions.refund_refused(asked.state, asked.refunds[0], "no")
    assert refused is not None
    assert (refused.state.given_back, refused.refunds[0].status) == (0, "failed")
    assert decisions.order_refund_requested(refused.state, requested(PAID, "r2")).start


@pytest.mark.parametrize("status", ["paid", "failed"])
def test_a_refund_is_settled_once(status: str) -> None:
    settled = Refund(id="r1", order="o1", amount=Money(500, "GBP"), reason="cold", status=status)  # type: ignore[arg-type]
    assert decisions.refund_paid(standing(), settled) is None
    assert decisions.refund_refused(standing(), settled, "no") is None


def test_what_the_order_s_end_gives_back_is_what_refunds_have_left() -> None:
    decision = decisions.refunded(standing(Status.VOIDING, given_back=500))
    assert decision is not None
    [event] = told(decision)
    assert isinstance(event, PaymentRefunded)
    assert event.amount == Money(PAID - 500, "GBP")


@dataclass
class Provider:
    """What the provider promises: a refund per name, never more than was charged; a void gives back the rest."""

    refunds: dict[str, int] = field(default_factory=dict)
    voided: int | None = None

    @property
    def left(self) -> int:
        return PAID - sum(self.refunds.values()) - (self.voided or 0)

    def refund(self, name: str, amount: int) -> bool:
        if name in self.refunds:
            return True
        if amount > self.left:
            return False
        self.refunds[name] = amount
        return True

    def void(self) -> None:
        if self.voided is None:
            self.voided = self.left


class Refunds(RuleBasedStateMachine):
    """Any order of: refunds asked for, tried with the answer heard or lost, and the order's end."""

    def __init__(self) -> None:
        super().__init__()
        self.provider, self.row = Provider(), standing()
        self.refunds: dict[str, Refund] = {}
        self.told: list[Payload] = []
        self.voiding = False

    @rule(amount=st.integers(1, PAID + 1))
    def a_refund_is_asked_for(self, amount: int) -> None:
        self._apply(decisions.order_refund_requested(self.row, requested(amount, f"r{len(self.refunds)}")))

    @precondition(lambda self: self._open())
    @rule(data=st.data(), is_lost=st.booleans())
    def a_refund_is_tried(self, data: st.DataObject, is_lost: bool) -> None:
        self._try(data.draw(st.sampled_from(self._open())), is_lost)

    @rule()
    def the_order_ends(self) -> None:
        decision = decisions.ended(self.row, "cancelled")
        self.voiding = self.voiding or decision is not None
        self._apply(decision)

    @precondition(lambda self: self.voiding and not self._open())
    @rule(is_lost=st.booleans())
    def voiding_is_tried(self, is_lost: bool) -> None:
        self.provider.void()
        if not is_lost:
            self._apply(decisions.refunded(self.row))

    def teardown(self) -> None:
        while waiting := self._open():
            self._try(waiting[0], is_lost=False)
        if self.voiding:
            self.voiding_is_tried(is_lost=False)
        paid = sum(each.amount.amount for each in self.told if isinstance(each, RefundPaid))
        undone = sum(each.amount.amount for each in self.told if isinstance(each, PaymentRefunded))
        assert self.provider.left == PAID - paid - undone >= 0
        assert self.provider.left == (0 if self.voiding else PAID - self.row.given_back)
        ends = Counter(each.refund for each in self.told if isinstance(each, RefundPaid | RefundFailed))
        assert ends == Counter(self.refunds.keys())

    def _open(self) -> list[str]:
        return [name for name, each in self.refunds.items() if each.status == "requested"]

    def _try(self, name: str, is_lost: bool) -> None:
        refund = self.refunds[name]
        done = self.provider.refund(name, refund.amount.amount)
        if not is_lost:
            settle = decisions.refund_paid if done else None
            self._apply(settle(self.row, refund) if settle else decisions.refund_refused(self.row, refund, "no"))

    def _apply(self, decision: Decision | None) -> None:
        if decision is None:
            return
        self.row = decision.state
        self.refunds |= {each.id: each for each in decision.refunds}
        self.told += told(decision)


Refunds.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
TestEveryInterleaving = Refunds.TestCase
