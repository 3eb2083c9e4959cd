"""Says how a payment follows from events: the provider's answers told of themselves, the rest is decided again."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision
from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.payments import decisions
from services.payments.decisions import FACTS, Payment, Refund, Status
from services.payments.events import (
    PaymentFailed,
    PaymentReceived,
    PaymentRefunded,
    PaymentVoided,
    RefundFailed,
    RefundPaid,
)


class _Books(msgspec.Struct, frozen=True):
    """Holds a payment with its refunds, and when it failed: declined payments are told to be voided at that moment."""

    payment: Payment
    refunds: Mapping[str, Refund]
    before_failure: Payment | None = None
    failed_at: datetime | None = None


_Decided = Decision[_Books] | None


def _heard(books: _Books | None, event: Event[Any], _: datetime) -> _Decided:
    return _noted(books, FACTS[type(event.data)](books.payment if books else None, event.data))


def _answered(
    decide: Callable[[Payment], decisions.Decision | None],
) -> Callable[[Any, Event[Any], datetime], _Decided]:
    def decided(books: _Books | None, _: Event[Any], now: datetime) -> _Decided:
        known = _known(books)
        return _noted(known, decide(decisions.begun(known.payment, now) or known.payment))

    return decided


def _failed(books: _Books | None, event: Event[PaymentFailed], now: datetime) -> _Decided:
    known = _known(books)
    begun = decisions.begun(known.payment, now) or known.payment
    decided = _noted(known, decisions.given_up(begun, event.data.reason or ""))
    return decided and replace(decided, state=replace(decided.state, before_failure=begun, failed_at=event.time))


def _voided(books: _Books | None, event: Event[PaymentVoided], _: datetime) -> _Decided:
    known = _known(books)
    if known.before_failure and known.failed_at == event.time:
        return _noted(known, decisions.declined(known.before_failure, event.data.reason or ""))
    return _noted(known, decisions.voided(known.payment))


def _refund_settled(books: _Books | None, event: Event[Any], _: datetime) -> _Decided:
    known, told = _known(books), event.data
    refund = known.refunds.get(told.refund)
    if refund is None:
        return None
    if isinstance(told, RefundPaid):
        return _noted(known, decisions.refund_paid(known.payment, refund))
    return _noted(known, decisions.refund_refused(known.payment, refund, told.why))


def _known(books: _Books | None) -> _Books:
    assert books, "There was no payment."  # noqa: S101
    return books


def _noted(books: _Books | None, decision: decisions.Decision | None) -> _Decided:
    """Note what is decided about a payment; what stays to be told or done is nobody's here, but for what was told."""
    if decision is None:
        return None
    refunds = {**(books.refunds if books else {}), **{each.id: each for each in decision.refunds}}
    known = replace(books, payment=decision.state, refunds=refunds) if books else _Books(decision.state, refunds)
    return Decision(known, decision.events)


def _shown(books: _Books) -> dict[str, Any]:
    payment = books.payment
    status = Status.QUEUED if payment.status is Status.CHARGING else payment.status
    return {
        "status": status,
        "reason": payment.reason,
        "amount": msgspec.to_builtins(payment.amount),
        "given_back": payment.given_back,
        "refunds": {name: refund.status for name, refund in sorted(books.refunds.items())},
    }


REBUILDS = (
    Rebuilding(
        of="order",
        key=lambda payload: payload.order,
        heard=dict.fromkeys(FACTS, _heard),
        told={
            PaymentReceived: _answered(decisions.charged),
            PaymentFailed: _failed,
            PaymentVoided: _voided,
            PaymentRefunded: _answered(decisions.refunded),
            RefundPaid: _refund_settled,
            RefundFailed: _refund_settled,
        },
        at_once=frozenset(),
        show=_shown,
        lacks="Whether a charge was under way: no event tells when one begins, so it counts as queued.",
    ),
)
