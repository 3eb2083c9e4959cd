"""Decides what is refunded of an order: never more than was paid, and nothing of a payment that is undone anyhow."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from backbone.decision import Refusal
from backbone.events.payload import Payload
from backbone.values.currencies import in_words
from services.orders.decisions import Decision
from services.orders.events import Money, OrderRefunded, OrderRefundRequested, RefundFailed, RefundPaid
from services.orders.order import Entry, Fact, Order, Refund, RefundStatus, Settlement, Status

UNDONE = (Status.REJECTED, Status.CANCELLED)


class NothingPaid(Refusal):
    """The order was never charged, or its payment is undone as a whole."""


class TooMuch(Refusal):
    """More would be given back than is left of the payment."""

    def __init__(self, left: Money) -> None:
        super().__init__(f"{in_words(left.amount, left.currency)} is left of what was paid.")
        self.left = left


def request(
    order: Order, earlier: Sequence[Refund], amount: Money | None, reason: str, by: str, refund_id: str, now: datetime
) -> Decision:
    """Ask payments to give back an amount, or all that `earlier` refunds have left. Raises NothingPaid or TooMuch."""
    _check_paid(order)
    left = left_of(order, earlier)
    wanted = amount or left
    if not 0 < wanted.amount <= left.amount:
        raise TooMuch(left)
    refund = Refund(refund_id, wanted, reason, by, RefundStatus.REQUESTED, now)
    told = OrderRefundRequested(
        order=order.id, customer=order.customer, refund=refund_id, amount=wanted, reason=reason, by=by
    )
    text = f"A refund of {_words(wanted)} is asked for: {reason.rstrip('.')}."
    return _noted(order, Entry(order.status, now, told.TYPE, text), told, refunds=(refund,))


def paid(order: Order, fact: RefundPaid, at: datetime) -> Decision:
    """Note that a refund was given back, and tell it with whom it concerns."""
    told = OrderRefunded(
        order=order.id, customer=order.customer, refund=fact.refund, amount=fact.amount, reason=fact.reason
    )
    settled = Settlement(order.id, fact.refund, RefundStatus.PAID, None, at)
    return _noted(order, entry_of(fact, at, order), told, settled=(settled,))


def failed(order: Order, fact: RefundFailed, at: datetime) -> Decision:
    """Note that a refund was not given back; its amount can be asked for again."""
    settled = Settlement(order.id, fact.refund, RefundStatus.FAILED, fact.why, at)
    return _noted(order, entry_of(fact, at, order), settled=(settled,))


FACTS: Mapping[type[Payload], Callable[[Order, Any, datetime], Decision]] = {RefundPaid: paid, RefundFailed: failed}
"""What happens on which event."""


def entry_of(fact: RefundPaid | RefundFailed, at: datetime, order: Order | None = None) -> Entry:
    """Make the line that a fact leaves in the timeline, of an order that may not be known."""
    if isinstance(fact, RefundPaid):
        text = f"{_words(fact.amount)} was refunded."
    else:
        text = f"The refund of {_words(fact.amount)} failed: {fact.why}"
    return Entry(order.status if order else None, at, fact.TYPE, text)


def left_of(order: Order, earlier: Sequence[Refund]) -> Money:
    """Return what can still be given back; what failed does not count, what is under way does."""
    gone = sum(each.amount.amount for each in earlier if each.status is not RefundStatus.FAILED)
    return replace(order.total, amount=order.total.amount - gone)


def _check_paid(order: Order) -> None:
    if order.status in UNDONE or Fact.PAYMENT_UNDONE in order.facts:
        raise NothingPaid(f"The order is {order.status}: what was charged for it is given back as a whole.")
    if Fact.PAYMENT_RECEIVED not in order.facts:
        raise NothingPaid("The order has not been charged.")


def _noted(order: Order, entry: Entry, *told: Payload, **refunds: Any) -> Decision:
    return Decision(replace(order, version=order.version + 1), told, entries=(entry,), **refunds)


def _words(amount: Money) -> str:
    return in_words(amount.amount, amount.currency)
