"""Shows an order as its customer sees it: what GET, the stream and the answers of commands tell."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from services.orders.events import Customer, Fulfilment, Line, Money
from services.orders.expecting import Expected, Usual, expected_of
from services.orders.order import Entry, Order, Refund, Status


class Document(msgspec.Struct, frozen=True):
    """Shows an order as its customer sees it, with everything that has happened to it."""

    id: str
    status: Status
    reason: str | None
    customer: Customer
    fulfilment: Fulfilment
    address: str | None
    lines: tuple[Line, ...]
    total: Money
    placed_at: datetime
    expected: Expected | None
    refunds: Sequence[Refund]
    timeline: Sequence[Entry]


def document(order: Order, entries: Sequence[Entry], refunds: Sequence[Refund], usual: Usual) -> Document:
    """Show an order with its timeline, its refunds, and what should come next."""
    return Document(
        id=order.id,
        status=order.status,
        reason=order.reason,
        customer=order.customer,
        fulfilment=order.fulfilment,
        address=order.address,
        lines=order.lines,
        total=order.total,
        placed_at=order.placed_at,
        expected=expected_of(order, usual),
        refunds=refunds,
        timeline=entries,
    )
