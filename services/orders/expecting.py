"""Says what should happen next to an order, and when: from when it came where it stands, and how long that takes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import get_args

import msgspec

from services.orders.events import Fulfilment
from services.orders.order import Order, Status

Usual = Mapping[Status, timedelta]
"""How long it usually takes until an order stands there, from where it stood before."""


class Expected(msgspec.Struct, frozen=True):
    """Holds the status that should come next, and when; a time that has passed means that it is late."""

    step: Status
    at: datetime


class Limit(msgspec.Struct, frozen=True):
    """Says how long orders of one kind may stand in a status until they are late."""

    status: Status
    fulfilment: Fulfilment
    is_baked: bool
    longest: timedelta


def expected_of(order: Order, usual: Usual) -> Expected | None:
    """Return what should happen next to an order; None at its end, and while it waits for stock."""
    step = _next_step(order.status, order.fulfilment, is_baked=any(line.baked for line in order.lines))
    return Expected(step, order.stepped_at + usual[step]) if step else None


def limits(usual: Usual) -> Sequence[Limit]:
    """Return how long orders of each kind may stand where something is expected of them, status by status."""
    return [
        Limit(status, fulfilment, is_baked, usual[step])
        for status, fulfilment, is_baked in product(Status, get_args(Fulfilment), (True, False))
        if (step := _next_step(status, fulfilment, is_baked=is_baked))
    ]


def _next_step(status: Status, fulfilment: Fulfilment, *, is_baked: bool) -> Status | None:
    collected = fulfilment == "collection"
    match status:
        case Status.PLACED:
            return Status.CONFIRMED
        case Status.CANCELLING:
            return Status.CANCELLED
        case Status.CONFIRMED if is_baked:
            return Status.PREPARING
        case Status.PREPARING:
            return Status.READY if collected else Status.BAKED
        case Status.CONFIRMED | Status.BAKED:
            return Status.COMPLETED if collected else Status.DISPATCHED
        case Status.READY | Status.DISPATCHED:
            return Status.COMPLETED
    return None
