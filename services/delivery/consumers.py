"""What delivery does when orders and the kitchen speak, in whatever order the two arrive."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.delivery import decisions, store
from services.delivery.decisions import Delivery
from services.delivery.events import OrderCancellationRequested, OrderCancelled, OrderConfirmed, PizzaBaked


async def hear(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Learn, cancel and close as the events say; a button pressed meanwhile waits, or is waited for."""
    deliveries = await store.begin_all(tx, {event.data.order for event in events})
    changed: dict[str, Delivery] = {}
    for event in events:
        order = event.data.order
        known = deliveries[order]
        if known.correlationid is None:
            known = replace(known, correlationid=event.correlationid)
        decision = decisions.heard(known, event.data)
        deliveries[order] = changed[order] = decision.delivery
        for told in decision.events:
            tx.publish(told, key=order, cause=event.cause)
    await store.save_all(tx, changed.values())


HANDLERS: Handlers = dict.fromkeys(
    (OrderConfirmed, PizzaBaked, OrderCancellationRequested, OrderCancelled), BatchHandler(hear)
)
