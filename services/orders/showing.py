"""Shows an order as its customer sees it: what GET, the stream and the answers of commands tell."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.orders.events import Customer, Fulfilment, Line, Money
from services.orders.expecting import Expected, Usual, expected_of
from services.orders.order import Entry, Order, Refund, Status


class Listed(msgspec.Struct, frozen=True):
    """Shows an order as lists do; `since` is when it came where it stands."""

    id: str
    status: Status
    since: datetime
    reason: str | None
    customer: Customer
    fulfilment: Fulfilment
    address: str | None
    lines: tuple[Line, ...]
    total: Money
    placed_at: datetime
    expected: Expected | None


class Document(Listed, frozen=True):
    """Shows an order as its customer sees it, with everything that has happened to it."""

    refunds: Sequence[Refund]
    timeline: Sequence[Entry]


def listed(order: Order, usual: Usual) -> Listed:
    """Show an order as lists do, with what should come next."""
    return Listed(**_shown(order, usual))


def document(order: Order, entries: Sequence[Entry], refunds: Sequence[Refund], usual: Usual) -> Document:
    """Show an order with its timeline, its refunds, and what should come next."""
    return Document(**_shown(order, usual), refunds=refunds, timeline=entries)


def _shown(order: Order, usual: Usual) -> dict[str, Any]:
    return {
        "id": order.id,
        "status": order.status,
        "since": order.stepped_at,
        "reason": order.reason,
        "customer": order.customer,
        "fulfilment": order.fulfilment,
        "address": order.address,
        "lines": order.lines,
        "total": order.total,
        "placed_at": order.placed_at,
        "expected": expected_of(order, usual),
    }
