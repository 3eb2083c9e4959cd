"""Decides when a delivery may start, which button moves it on, and when it may be cancelled."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Refusal
from backbone.events.payload import Payload
from services.delivery.events import (
    CancellationRefused,
    DeliveryCancelled,
    Fulfilment,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCollected,
    OrderConfirmed,
    OrderDelivered,
    OrderDispatched,
    PizzaBaked,
)

Fact = OrderConfirmed | PizzaBaked | OrderCancellationRequested | OrderCancelled

DELIVERY = "delivery"  # who decides about a cancellation: nobody pressed a button


class Status(StrEnum):
    WAITING = "waiting"  # for the confirmation, or for the oven
    READY = "ready"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    COLLECTED = "collected"
    CANCELLED = "cancelled"


OPEN = (Status.READY, Status.DISPATCHED)


class Button(StrEnum):
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    COLLECTED = "collected"


class Delivery(msgspec.Struct, frozen=True):
    """Holds all that is known about the way of one order.

    Before the order's confirmation that is next to nothing.
    """

    order: str
    created_at: datetime
    status: Status = Status.WAITING
    fulfilment: Fulfilment | None = None  # None: not confirmed, as far as is known here
    address: str | None = None
    customer_name: str | None = None
    needs_baking: bool = False
    baked: bool = False
    by: str | None = None  # who pressed the last button
    correlationid: str | None = None  # of the order's story


class WrongButton(Refusal):
    """This button does not move the delivery on from where it is."""

    def __init__(self, delivery: Delivery, button: Button) -> None:
        super().__init__(f"An order for {delivery.fulfilment} that is {delivery.status} cannot become {button}.")


class Move(msgspec.Struct, frozen=True):
    fulfilment: Fulfilment
    before: Status
    after: Status
    fact: type[OrderDispatched] | type[OrderDelivered] | type[OrderCollected]


_MOVES = {
    Button.DISPATCHED: Move("delivery", Status.READY, Status.DISPATCHED, OrderDispatched),
    Button.DELIVERED: Move("delivery", Status.DISPATCHED, Status.DELIVERED, OrderDelivered),
    Button.COLLECTED: Move("collection", Status.READY, Status.COLLECTED, OrderCollected),
}


def confirmed(delivery: Delivery, order: OrderConfirmed) -> Decision[Delivery]:
    """Learn what to bring where; it may start now unless something is still to be baked."""
    known = replace(
        delivery,
        fulfilment=order.fulfilment,
        address=order.address,
        customer_name=order.customer.name,
        needs_baking=any(line.baked for line in order.lines),
    )
    return Decision(_ready_when_startable(known))


def pizza_baked(delivery: Delivery, _: PizzaBaked) -> Decision[Delivery]:
    """Learn that the oven is done, perhaps before the confirmation is known here."""
    return Decision(_ready_when_startable(replace(delivery, baked=True)))


def order_cancelled(delivery: Delivery, _: OrderCancelled) -> Decision[Delivery]:
    """Close what has not started, also before its confirmation is known here; nothing is told."""
    if delivery.status in (Status.WAITING, Status.READY):
        return Decision(replace(delivery, status=Status.CANCELLED))
    return Decision(delivery)


def cancellation_requested(delivery: Delivery, _: OrderCancellationRequested) -> Decision[Delivery]:
    """Cancel or refuse where nothing is baked; elsewhere the kitchen decides, and nothing is told."""
    if delivery.fulfilment is None or delivery.needs_baking or delivery.status is Status.CANCELLED:
        return Decision(delivery)
    if delivery.status is Status.READY:
        cancelled = replace(delivery, status=Status.CANCELLED)
        return Decision(cancelled, (DeliveryCancelled(order=delivery.order, by=DELIVERY),))
    reason = f"the order is already {delivery.status}"
    return Decision(delivery, (CancellationRefused(order=delivery.order, by=DELIVERY, reason=reason),))


FACTS: Mapping[type[Payload], Callable[[Delivery, Any], Decision[Delivery]]] = {
    OrderConfirmed: confirmed,
    PizzaBaked: pizza_baked,
    OrderCancellationRequested: cancellation_requested,
    OrderCancelled: order_cancelled,
}
"""What happens on which event."""


def press(delivery: Delivery, button: Button, by: str) -> Decision[Delivery]:
    """Move the delivery on; the same button again changes and tells nothing. Raises WrongButton."""
    move = _MOVES[button]
    if delivery.status is move.after:
        return Decision(delivery)
    if delivery.status is not move.before or delivery.fulfilment != move.fulfilment:
        raise WrongButton(delivery, button)
    return Decision(replace(delivery, status=move.after, by=by), (move.fact(order=delivery.order, by=by),))


def _ready_when_startable(delivery: Delivery) -> Delivery:
    startable = delivery.fulfilment is not None and (delivery.baked or not delivery.needs_baking)
    if delivery.status is Status.WAITING and startable:
        return replace(delivery, status=Status.READY)
    return delivery
