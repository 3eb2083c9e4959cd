"""Events that the kitchen publishes, and its own narrow view of those that it reads."""

from typing import ClassVar

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload


class PizzaPrepared(Payload, frozen=True, kw_only=True):
    """The pizzas of an order are topped: from here on the order is not cancelled any more."""

    TYPE: ClassVar[str] = "sliceline.kitchen.pizza-prepared.v1"
    order: str
    by: str


class PizzaBaked(Payload, frozen=True, kw_only=True):
    """Everything to bake in an order is out of the oven."""

    TYPE: ClassVar[str] = "sliceline.kitchen.pizza-baked.v1"
    order: str
    by: str


class TicketCancelled(Payload, frozen=True, kw_only=True):
    """The kitchen had not started on the order, and will not."""

    TYPE: ClassVar[str] = "sliceline.kitchen.ticket-cancelled.v1"
    order: str
    by: str


class CancellationRefused(Payload, frozen=True, kw_only=True):
    """The kitchen had already started when it was asked to cancel the order."""

    TYPE: ClassVar[str] = "sliceline.kitchen.cancellation-refused.v1"
    order: str
    by: str
    reason: str


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.kitchen.acts-recorded.v1"


PUBLISHES = (PizzaPrepared, PizzaBaked, TicketCancelled, CancellationRefused, ActsRecorded)


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    item: str
    quantity: int
    baked: bool


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    lines: tuple[OrderLine, ...]


class OrderCancellationRequested(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-cancellation-requested.v1"
    order: str
