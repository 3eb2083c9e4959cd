"""Says how a delivery follows from events: the buttons told of themselves, and the rest is decided again."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from backbone.decision import Decision
from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.delivery.decisions import FACTS, Button, Delivery, press
from services.delivery.events import (
    CancellationRefused,
    DeliveryCancelled,
    OrderCollected,
    OrderDelivered,
    OrderDispatched,
)


def _heard(delivery: Delivery | None, event: Event[Any], now: datetime) -> Decision[Delivery]:
    known = delivery or Delivery(event.data.order, now, correlationid=event.correlationid)
    return FACTS[type(event.data)](known, event.data)


def _pressed(button: Button) -> Callable[[Delivery | None, Event[Any], datetime], Decision[Delivery]]:
    def decide(delivery: Delivery | None, event: Event[Any], _: datetime) -> Decision[Delivery]:
        assert delivery, "There was no delivery."  # noqa: S101
        return press(delivery, button, event.data.by)

    return decide


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {"status": delivery.status, "fulfilment": delivery.fulfilment, "baked": delivery.baked, "by": delivery.by}


REBUILDS = (
    Rebuilding(
        of="order",
        key=lambda payload: payload.order,
        heard=dict.fromkeys(FACTS, _heard),
        told={
            OrderDispatched: _pressed(Button.DISPATCHED),
            OrderDelivered: _pressed(Button.DELIVERED),
            OrderCollected: _pressed(Button.COLLECTED),
        },
        at_once=frozenset({DeliveryCancelled, CancellationRefused}),
        show=_shown,
        lacks="",
    ),
)
