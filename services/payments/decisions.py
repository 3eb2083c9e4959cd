"""Decides in pure functions what becomes of a payment: takes it and a fact, returns what changes.

None says that nothing changes. A payment of an order that waits for stock is held, and queued once it is due.

    queued ──────► charging ──► received          a charge begins, and is answered
      │              │  └─────► failed            declined: nothing was charged
      ▼              ▼
    withdrawn      voiding ───► voided | refunded

A payment that ever began can have a charge in flight that nobody has heard of. So from `charging` on it is undone
only by voiding its reference at the provider, which refuses every later charge under it.

A payment that was received can be given back in parts, by refunds; the rest stays received. What the order's end undoes
is what refunds have left: no refund is begun from then on, and the reference is voided when those begun are settled.

A payment that is not kept ends with exactly one of two events, refunded or voided, after which nothing more is told.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from backbone import decision
from backbone.decision import Start
from backbone.events.payload import Payload
from backbone.values.currencies import in_words
from services.payments.events import (
    Money,
    OrderCancelled,
    OrderPaymentDue,
    OrderPlaced,
    OrderRefundRequested,
    OrderRejected,
    PaymentFailed,
    PaymentReceived,
    PaymentRefunded,
    PaymentVoided,
    RefundFailed,
    RefundPaid,
)

Fact = OrderPlaced | OrderPaymentDue | OrderRejected | OrderCancelled | OrderRefundRequested

NOTHING = Money(0, "XXX")
"""What is to be paid for an order that nobody has heard of: nothing, in the code that ISO 4217 has for no currency."""


class Status(StrEnum):
    """Names where a payment stands."""

    HELD = "held"
    QUEUED = "queued"
    CHARGING = "charging"
    RECEIVED = "received"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    VOIDING = "voiding"
    VOIDED = "voided"
    REFUNDED = "refunded"


class Task(StrEnum):
    """Names what is done at the provider: the kinds of our jobs."""

    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Holds one order's payment.

    The order's id is its reference at the provider, on every attempt.
    """

    order: str
    customer: str
    amount: Money
    status: Status = Status.QUEUED
    reason: str | None = None
    first_attempt_at: datetime | None = None
    given_back: int = 0
    """What refunds have given back, or are about to; never above the amount."""


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what is given back of a payment that is otherwise kept.

    Its id is its name at the provider, on every attempt.
    """

    id: str
    order: str
    amount: Money
    reason: str
    status: Literal["requested", "paid", "failed"] = "requested"


class Decision(decision.Decision[Payment], frozen=True):
    """Holds a decision about a payment, with the refunds that are new or settled."""

    refunds: tuple[Refund, ...] = ()


def order_placed(payment: Payment | None, fact: OrderPlaced) -> Decision | None:
    """Queue the payment of a new order, or hold it back, unless more was heard of the order before."""
    if payment:
        return None
    return Decision(_payment(fact, Status.HELD)) if fact.back_orderable else placed(fact)


def order_payment_due(payment: Payment | None, fact: OrderPaymentDue) -> Decision | None:
    """Queue a payment that was held back, or one of which this is heard first."""
    if payment is None:
        return placed(fact)
    if payment.status is not Status.HELD:
        return None
    return Decision(replace(payment, status=Status.QUEUED), start=(Start(Task.CHARGE),))


def order_ended(payment: Payment | None, fact: OrderRejected | OrderCancelled) -> Decision | None:
    """Undo the payment of an order that was rejected or cancelled, or remember an end not yet heard of.

    An order may be heard to end before it is heard of: its events can lie in two partitions when their number changed.
    """
    return ended(payment, fact.reason) if payment else ended_unheard(fact)


def order_refund_requested(payment: Payment | None, fact: OrderRefundRequested) -> Decision:
    """Give back a part of a payment, or say why not."""
    known = payment or _unheard(fact.order, "A refund was asked for an order that nobody has heard of.")
    refund = Refund(id=fact.refund, order=fact.order, amount=fact.amount, reason=fact.reason)
    if objection := _objection(known, fact.amount):
        return _refund_failed(known, refund, objection)
    given_back = known.given_back + fact.amount.amount
    start = Start(Task.REFUND, refund.id, {"order": fact.order})
    return Decision(replace(known, given_back=given_back), start=(start,), refunds=(refund,))


FACTS: Mapping[type[Payload], Callable[[Payment | None, Any], Decision | None]] = {
    OrderPlaced: order_placed,
    OrderPaymentDue: order_payment_due,
    OrderRejected: order_ended,
    OrderCancelled: order_ended,
    OrderRefundRequested: order_refund_requested,
}
"""What happens on which event; None: nothing changes."""


def placed(fact: OrderPlaced | OrderPaymentDue) -> Decision:
    """Queue the payment of an order."""
    return Decision(_payment(fact, Status.QUEUED), start=(Start(Task.CHARGE),))


def ended_unheard(fact: OrderRejected | OrderCancelled) -> Decision:
    """Remember the end of an order that nobody has heard of yet, so that it is never charged."""
    unknown = _unheard(fact.order, fact.reason)
    return Decision(unknown, events=(_voided(unknown),))


def begun(payment: Payment, now: datetime) -> Payment | None:
    """Mark, before the provider is called, that there may be a charge.

    Returns None when it must not be called any more.
    """
    if payment.status not in (Status.QUEUED, Status.CHARGING):
        return None
    return replace(payment, status=Status.CHARGING, first_attempt_at=payment.first_attempt_at or now)


def refused_for_rate(payment: Payment) -> Payment | None:
    """Take back a first attempt: a call refused for its rate was still waiting in the queue.

    The status stays `charging`: another run of the same job may have a charge in flight.
    """
    return replace(payment, first_attempt_at=None) if payment.status is Status.CHARGING else None


def charged(payment: Payment) -> Decision | None:
    """Note that the provider charged.

    A payment being voided ignores it: the void gives the money back.
    """
    if payment.status is not Status.CHARGING:
        return None
    received = PaymentReceived(order=payment.order, amount=payment.amount, reference=payment.order)
    return Decision(replace(payment, status=Status.RECEIVED), events=(received,))


def declined(payment: Payment, reason: str) -> Decision | None:
    """Note that the provider will never charge under this reference."""
    if payment.status is not Status.CHARGING:
        return None
    failed = replace(payment, status=Status.FAILED, reason=reason)
    return Decision(failed, events=(_failed(failed), _voided(failed)))


def given_up(payment: Payment, reason: str) -> Decision | None:
    """Wait no longer for the provider.

    Whether it charged is unknown, therefore the reference is voided.
    """
    if payment.status is not Status.CHARGING:
        return None
    voiding = replace(payment, status=Status.VOIDING, reason=reason)
    return Decision(voiding, events=(_failed(voiding),), start=(Start(Task.VOID),))


def ended(payment: Payment, reason: str | None) -> Decision | None:
    """Undo the payment of an order that was rejected or cancelled: nothing may stay charged."""
    if payment.status in (Status.HELD, Status.QUEUED):
        withdrawn = replace(payment, status=Status.WITHDRAWN, reason=reason)
        return Decision(withdrawn, events=(_voided(withdrawn),), stop=(Task.CHARGE,))
    if payment.status in (Status.CHARGING, Status.RECEIVED):
        voiding = replace(payment, status=Status.VOIDING, reason=reason)
        return Decision(voiding, stop=(Task.CHARGE,), start=(Start(Task.VOID),))
    return None


def voided(payment: Payment) -> Decision | None:
    """Note that the provider charged nothing, nor ever will."""
    if payment.status is not Status.VOIDING:
        return None
    return Decision(replace(payment, status=Status.VOIDED), events=(_voided(payment),))


def refunded(payment: Payment) -> Decision | None:
    """Note that the provider had charged and gave it back: what was left of it, for refunds are settled before."""
    if payment.status is not Status.VOIDING:
        return None
    fact = PaymentRefunded(order=payment.order, amount=_left(payment), reference=payment.order, reason=payment.reason)
    return Decision(replace(payment, status=Status.REFUNDED), events=(fact,))


def refund_paid(payment: Payment, refund: Refund) -> Decision | None:
    """Note that the provider gave a refund back."""
    if refund.status != "requested":
        return None
    paid = RefundPaid(order=refund.order, refund=refund.id, amount=refund.amount, reason=refund.reason)
    return Decision(payment, events=(paid,), refunds=(replace(refund, status="paid"),))


def refund_refused(payment: Payment, refund: Refund, why: str) -> Decision | None:
    """Note that the provider will never give a refund back; its amount can be given back by another."""
    if refund.status != "requested":
        return None
    kept = replace(payment, given_back=payment.given_back - refund.amount.amount)
    return _refund_failed(kept, refund, why)


def is_overdue(payment: Payment, now: datetime, give_up_after: timedelta) -> bool:
    """Tell whether an attempt that failed now was the last.

    Only the time since the first attempt counts.
    """
    return payment.first_attempt_at is not None and now - payment.first_attempt_at >= give_up_after


def _payment(fact: OrderPlaced | OrderPaymentDue, status: Status) -> Payment:
    return Payment(order=fact.order, customer=fact.customer.id, amount=fact.total, status=status)


def _unheard(order: str, reason: str | None) -> Payment:
    return Payment(order=order, customer="", amount=NOTHING, status=Status.WITHDRAWN, reason=reason)


def _objection(payment: Payment, wanted: Money) -> str | None:
    """Say why so much of a payment cannot be given back, if it cannot."""
    if payment.status is not Status.RECEIVED:
        return f"The payment is {payment.status}."
    left = _left(payment)
    if wanted.currency != left.currency or wanted.amount > left.amount:
        return f"Only {in_words(left.amount, left.currency)} is left of the payment."
    return None


def _left(payment: Payment) -> Money:
    return replace(payment.amount, amount=payment.amount.amount - payment.given_back)


def _refund_failed(payment: Payment, refund: Refund, why: str) -> Decision:
    told = RefundFailed(order=refund.order, refund=refund.id, amount=refund.amount, reason=refund.reason, why=why)
    return Decision(payment, events=(told,), refunds=(replace(refund, status="failed"),))


def _failed(payment: Payment) -> PaymentFailed:
    return PaymentFailed(order=payment.order, amount=payment.amount, reference=payment.order, reason=payment.reason)


def _voided(payment: Payment) -> PaymentVoided:
    return PaymentVoided(order=payment.order, reference=payment.order, reason=payment.reason)
