"""Decides from archived events alone how many orders stand where, which is the oldest there, and which are stuck."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

PLACED = "sliceline.orders.order-placed.v1"
ENDS = ("completed", "rejected", "cancelled")
STEPS = (
    ("orders.order-completed", "completed"),
    ("orders.order-rejected", "rejected"),
    ("orders.order-cancelled", "cancelled"),
    ("delivery.order-dispatched", "dispatched"),
    ("kitchen.pizza-baked", "baked"),
    ("kitchen.pizza-prepared", "preparing"),
    ("orders.order-cancellation-requested", "cancelling"),
    ("orders.order-confirmed", "confirmed"),
    ("orders.order-backordered", "backordered"),
)
"""What an event says of its order, the furthest first; without any of them an order is placed."""
ENDINGS = frozenset(name for name, status in STEPS if status in ENDS)
STATUSES = ("placed", "backordered", "confirmed", "cancelling", "preparing", "baked", "ready", "dispatched", *ENDS)
PROGRESS = (
    *(name for name, _ in STEPS),
    "orders.order-placed",
    "orders.order-payment-due",
    "inventory.stock-reserved",
    "inventory.stock-rejected",
    "payments.payment-received",
    "payments.payment-failed",
    "kitchen.ticket-cancelled",
    "kitchen.cancellation-refused",
    "delivery.order-delivered",
    "delivery.order-collected",
    "delivery.delivery-cancelled",
    "delivery.cancellation-refused",
)
"""The events that get an order on. A refund, a mail, that it is late: these do not."""


class Group(msgspec.Struct, frozen=True):
    """Holds the orders of which the same has been told: how many, and the one that was placed first."""

    told: frozenset[str]
    is_collected: bool
    orders: int
    oldest: str
    placed_at: datetime
    progressed_at: datetime
    """When the oldest got on last."""
    stuck: int = 0
    longest: Sequence[str] = ()
    """Those without progress for too long, the longest first; not all where there are many."""
    since: Sequence[datetime] = ()
    """When each of them got on last."""


class Oldest(msgspec.Struct, frozen=True):
    """Is the order that was placed first of those that stand somewhere."""

    order: str
    placed_at: datetime
    progressed_at: datetime


class Level(msgspec.Struct, frozen=True):
    """Says how many orders stand in a status."""

    status: str
    orders: int
    oldest: Oldest | None = None


class Stuck(msgspec.Struct, frozen=True):
    """Is an order that has not ended and got on last too long ago."""

    order: str
    status: str
    since: datetime


class Funnel(msgspec.Struct, frozen=True):
    """Says how many orders came, where they stand, and which of them do not get on."""

    came: int
    levels: tuple[Level, ...]
    stuck_orders: int
    stuck: tuple[Stuck, ...]


def status_of(told: frozenset[str], is_collected: bool) -> str:
    """Say where an order stands of which these events were told."""
    status = next((status for name, status in STEPS if name in told), "placed")
    if status == "backordered" and "inventory.stock-reserved" in told:
        return "placed"
    if status == "cancelling" and told & {"kitchen.cancellation-refused", "delivery.cancellation-refused"}:
        return "confirmed"
    return "ready" if status == "baked" and is_collected else status


def expected_of(status: str) -> str:
    """Name the event that ends an order which stands there as it should."""
    return "orders.order-cancelled" if status == "cancelling" else "orders.order-completed"


def funnel(groups: Iterable[Group], most_stuck: int) -> Funnel:
    """Sum groups up by status, and pick the orders that have been stuck for longest."""
    standing = [(status_of(group.told, group.is_collected), group) for group in groups]
    levels = tuple(_level(status, [group for each, group in standing if each == status]) for status in STATUSES)
    open_ = [(status, group) for status, group in standing if status not in ENDS]
    stuck = [
        Stuck(order, status, since)
        for status, group in open_
        for order, since in zip(group.longest, group.since, strict=True)
    ]
    stuck.sort(key=lambda each: (each.since, each.order))
    came = sum(group.orders for _, group in standing)
    return Funnel(came, levels, sum(group.stuck for _, group in open_), tuple(stuck[:most_stuck]))


def _level(status: str, groups: Sequence[Group]) -> Level:
    first = min(groups, key=lambda group: (group.placed_at, group.oldest), default=None)
    oldest = Oldest(first.oldest, first.placed_at, first.progressed_at) if first else None
    return Level(status, sum(group.orders for group in groups), oldest)
