"""Says how an order follows from events: commands told of themselves, and all that others told is decided again."""

from datetime import datetime, timedelta
from typing import Any

from msgspec import UNSET, to_builtins

from backbone.decision import Decision
from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.orders import decisions, refunds
from services.orders.consumers import FACTS, decide
from services.orders.events import (
    OrderBackordered,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDelayed,
    OrderPaymentDue,
    OrderPlaced,
    OrderRefunded,
    OrderRejected,
)
from services.orders.order import Fact, Order, Status

_AT_ONCE = (
    OrderBackordered,
    OrderPaymentDue,
    OrderConfirmed,
    OrderRejected,
    OrderCancelled,
    OrderCompleted,
    OrderRefunded,
)
"""What orders tells on a fact, in the transaction in which it learns it."""


def _placed(order: Order | None, event: Event[OrderPlaced], now: datetime) -> Decision[Order] | None:
    told = event.data
    is_held = told.back_orderable is not UNSET and bool(told.back_orderable)
    return (
        None
        if order
        else Decision(
            Order(
                id=told.order,
                customer=told.customer,
                fulfilment=told.fulfilment,
                address=told.address,
                lines=tuple(told.lines),
                total=told.total,
                status=Status.PLACED,
                reason=None,
                facts=frozenset({Fact.PLACED, Fact.PAYMENT_HELD} if is_held else {Fact.PLACED}),
                placed_at=now,
                stepped_at=now,
                delayed=False,
                version=1,
                correlationid=event.correlationid,
            )
        )
    )


def _cancelled(order: Order | None, event: Event[Any], now: datetime) -> Decision[Order] | None:
    """Cancel again what somebody cancelled; where orders did so on a fact, that is decided already."""
    if order is None or order.ended:
        return None
    return decisions.cancel(order, event.data.reason, now)


def _delayed(order: Order | None, _: Event[OrderDelayed], now: datetime) -> Decision[Order] | None:
    return decisions.delay(order, timedelta(0), now) if order else None


def _shown(order: Order) -> dict[str, Any]:
    return {
        "status": order.status,
        "reason": order.reason,
        "facts": sorted(order.facts),
        "lines": to_builtins(order.lines),
        "total": to_builtins(order.total),
        "fulfilment": order.fulfilment,
        "placed_at": order.placed_at,
        "stepped_at": order.stepped_at,
        "delayed": order.delayed,
    }


REBUILDS = (
    Rebuilding(
        of="order",
        key=lambda payload: payload.order,
        heard=dict.fromkeys([*FACTS, *refunds.FACTS], decide),
        told={
            OrderPlaced: _placed,
            OrderCancellationRequested: _cancelled,
            OrderCancelled: _cancelled,
            OrderDelayed: _delayed,
        },
        at_once=frozenset(_AT_ONCE),
        show=_shown,
        lacks="What stands in its refunds and its timeline.",
    ),
)
