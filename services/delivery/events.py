"""Events that delivery publishes, and its own narrow view of those that it reads."""

from typing import ClassVar, Literal

import msgspec

from backbone.events import acts
from backbone.events.payload import Payload

Fulfilment = Literal["delivery", "collection"]


class OrderDispatched(Payload, frozen=True, kw_only=True):
    """The courier is on the way with the order."""

    TYPE: ClassVar[str] = "sliceline.delivery.order-dispatched.v1"
    order: str
    by: str


class OrderDelivered(Payload, frozen=True, kw_only=True):
    """The courier has handed the order over: the customer has it."""

    TYPE: ClassVar[str] = "sliceline.delivery.order-delivered.v1"
    order: str
    by: str


class OrderCollected(Payload, frozen=True, kw_only=True):
    """The customer came for the order and has it."""

    TYPE: ClassVar[str] = "sliceline.delivery.order-collected.v1"
    order: str
    by: str


class DeliveryCancelled(Payload, frozen=True, kw_only=True):
    """An order without anything to bake had not left, and will not."""

    TYPE: ClassVar[str] = "sliceline.delivery.delivery-cancelled.v1"
    order: str
    by: str


class CancellationRefused(Payload, frozen=True, kw_only=True):
    """An order without anything to bake had already left when it was to be cancelled."""

    TYPE: ClassVar[str] = "sliceline.delivery.cancellation-refused.v1"
    order: str
    by: str
    reason: str


class ActsRecorded(acts.ActsRecorded, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.delivery.acts-recorded.v1"


PUBLISHES = (OrderDispatched, OrderDelivered, OrderCollected, DeliveryCancelled, CancellationRefused, ActsRecorded)


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    baked: bool


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    customer: Customer
    fulfilment: Fulfilment
    address: str | None
    lines: tuple[OrderLine, ...]


class OrderCancellationRequested(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-cancellation-requested.v1"
    order: str


class OrderCancelled(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-cancelled.v1"
    order: str


class PizzaBaked(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.kitchen.pizza-baked.v1"
    order: str
