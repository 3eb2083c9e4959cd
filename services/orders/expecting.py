"""Says what should happen next to an order, and when: from when it came where it stands, and how long that takes."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from services.orders.order import Order, Status

Usual = Mapping[Status, timedelta]
"""How long it usually takes until an order stands there, from where it stood before."""


class Expected(msgspec.Struct, frozen=True):
    """Holds the status that should come next, and when; a time that has passed means that it is late."""

    step: Status
    at: datetime


def expected_of(order: Order, usual: Usual) -> Expected | None:
    """Return what should happen next to an order; None at its end, and while it waits for stock."""
    step = _next_step(order)
    return Expected(step, order.stepped_at + usual[step]) if step else None


def _next_step(order: Order) -> Status | None:
    collected = order.fulfilment == "collection"
    match order.status:
        case Status.PLACED:
            return Status.CONFIRMED
        case Status.CANCELLING:
            return Status.CANCELLED
        case Status.CONFIRMED if any(line.baked for line in order.lines):
            return Status.PREPARING
        case Status.PREPARING:
            return Status.READY if collected else Status.BAKED
        case Status.CONFIRMED | Status.BAKED:
            return Status.COMPLETED if collected else Status.DISPATCHED
        case Status.READY | Status.DISPATCHED:
            return Status.COMPLETED
    return None
