"""What becomes of a payment, as pure functions: a payment and a fact in, what changes out (None: nothing does).

    queued ──────► charging ──► received          a charge begins, and is answered
      │              │  └─────► failed            declined: nothing was charged
      ▼              ▼
    withdrawn      voiding ───► voided | refunded

A payment that ever began can have a charge in flight that nobody has heard of. So from `charging` on it is undone
only by voiding its reference at the provider, which refuses every later charge under it.

A payment that is not kept ends with exactly one of two events, refunded or voided, after which nothing more is told.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from backbone.events.payload import Payload
from services.payments.events import (
    Money,
    OrderCancelled,
    OrderPlaced,
    OrderRejected,
    PaymentFailed,
    PaymentReceived,
    PaymentRefunded,
    PaymentVoided,
)

NOTHING = Money(0, "XXX")
"""What is to be paid for an order that nobody has heard of: nothing, in the code that ISO 4217 has for no currency."""


class Status(StrEnum):
    """Where a payment stands."""

    QUEUED = "queued"
    CHARGING = "charging"
    RECEIVED = "received"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    VOIDING = "voiding"
    VOIDED = "voided"
    REFUNDED = "refunded"


class Task(StrEnum):
    """What is done at the provider: the kinds of our jobs."""

    CHARGE = "charge"
    VOID = "void"


@dataclass(frozen=True, kw_only=True)
class Payment:
    """One order's payment. The order's id is its reference at the provider, on every attempt."""

    order: str
    customer: str
    amount: Money
    status: Status = Status.QUEUED
    reason: str | None = None
    first_attempt_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """The payment as it is from now on, what to publish, and the jobs to start and to stop."""

    payment: Payment
    publish: tuple[Payload, ...] = ()
    start: Task | None = None
    stop: Task | None = None


def heard(payment: Payment | None, fact: OrderPlaced | OrderRejected | OrderCancelled) -> Change | None:
    """What a fact means for the order's payment, in whatever order the two come.

    An order may be heard to end before it is heard of: its events can lie in two partitions when their number changed.
    """
    if isinstance(fact, OrderPlaced):
        return None if payment else placed(fact)
    return ended(payment, fact.reason) if payment else ended_unheard(fact)


def placed(fact: OrderPlaced) -> Change:
    """Queue the payment of a new order."""
    payment = Payment(order=fact.order, customer=fact.customer.id, amount=fact.total)
    return Change(payment=payment, start=Task.CHARGE)


def ended_unheard(fact: OrderRejected | OrderCancelled) -> Change:
    """Remember the end of an order that nobody has heard of yet, so that it is never charged."""
    unknown = Payment(order=fact.order, customer="", amount=NOTHING, status=Status.WITHDRAWN, reason=fact.reason)
    return Change(payment=unknown, publish=(_voided(unknown),))


def begun(payment: Payment, now: datetime) -> Payment | None:
    """Mark, before the provider is called, that there may be a charge. None: it must not be called any more."""
    if payment.status not in (Status.QUEUED, Status.CHARGING):
        return None
    return replace(payment, status=Status.CHARGING, first_attempt_at=payment.first_attempt_at or now)


def refused_for_rate(payment: Payment) -> Payment | None:
    """Take back a first attempt: a call refused for its rate was still waiting in the queue.

    The status stays `charging`: another run of the same job may have a charge in flight.
    """
    return replace(payment, first_attempt_at=None) if payment.status is Status.CHARGING else None


def charged(payment: Payment) -> Change | None:
    """The provider says that it charged. A payment being voided ignores it: the void gives the money back."""
    if payment.status is not Status.CHARGING:
        return None
    received = PaymentReceived(order=payment.order, amount=payment.amount, reference=payment.order)
    return Change(payment=replace(payment, status=Status.RECEIVED), publish=(received,))


def declined(payment: Payment, reason: str) -> Change | None:
    """The provider says that it will never charge under this reference."""
    if payment.status is not Status.CHARGING:
        return None
    failed = replace(payment, status=Status.FAILED, reason=reason)
    return Change(payment=failed, publish=(_failed(failed), _voided(failed)))


def given_up(payment: Payment, reason: str) -> Change | None:
    """Wait no longer for the provider. Whether it charged is unknown, therefore the reference is voided."""
    if payment.status is not Status.CHARGING:
        return None
    voiding = replace(payment, status=Status.VOIDING, reason=reason)
    return Change(payment=voiding, publish=(_failed(voiding),), start=Task.VOID)


def ended(payment: Payment, reason: str | None) -> Change | None:
    """The order was rejected or cancelled: nothing may stay charged."""
    if payment.status is Status.QUEUED:
        withdrawn = replace(payment, status=Status.WITHDRAWN, reason=reason)
        return Change(payment=withdrawn, publish=(_voided(withdrawn),), stop=Task.CHARGE)
    if payment.status in (Status.CHARGING, Status.RECEIVED):
        voiding = replace(payment, status=Status.VOIDING, reason=reason)
        return Change(payment=voiding, stop=Task.CHARGE, start=Task.VOID)
    return None


def voided(payment: Payment) -> Change | None:
    """The provider says that nothing was charged, nor ever will be."""
    if payment.status is not Status.VOIDING:
        return None
    return Change(payment=replace(payment, status=Status.VOIDED), publish=(_voided(payment),))


def refunded(payment: Payment) -> Change | None:
    """The provider says that it had charged and gave it back."""
    if payment.status is not Status.VOIDING:
        return None
    fact = PaymentRefunded(order=payment.order, amount=payment.amount, reference=payment.order, reason=payment.reason)
    return Change(payment=replace(payment, status=Status.REFUNDED), publish=(fact,))


def is_overdue(payment: Payment, now: datetime, give_up_after: timedelta) -> bool:
    """Whether an attempt that failed now was the last. Only the time since the first attempt counts."""
    return payment.first_attempt_at is not None and now - payment.first_attempt_at >= give_up_after


def _failed(payment: Payment) -> PaymentFailed:
    return PaymentFailed(order=payment.order, amount=payment.amount, reference=payment.order, reason=payment.reason)


def _voided(payment: Payment) -> PaymentVoided:
    return PaymentVoided(order=payment.order, reference=payment.order, reason=payment.reason)
