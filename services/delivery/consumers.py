"""What delivery does when orders and the kitchen speak, in whatever order the two arrive."""

from collections.abc import Sequence
from typing import Any

from backbone.database import Tx
from backbone.events import Event
from backbone.service import Handlers
from services.delivery import decisions, tables
from services.delivery.events import OrderCancellationRequested, OrderCancelled, OrderConfirmed, PizzaBaked


async def lock(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Lock every delivery that a batch touches, begun here where it is not known; handlers then find each."""
    await tables.lock_all(tx, (event.data.order for event in events))


async def learn_order(event: Event[OrderConfirmed], tx: Tx) -> None:
    known = await tables.known(tx, event.data.order)
    await tables.apply(tx, decisions.confirmed(known, event.data))


async def learn_baked(event: Event[PizzaBaked], tx: Tx) -> None:
    known = await tables.known(tx, event.data.order)
    await tables.apply(tx, decisions.pizza_baked(known))


async def decide_cancellation(event: Event[OrderCancellationRequested], tx: Tx) -> None:
    known = await tables.known(tx, event.data.order)
    await tables.apply(tx, decisions.cancellation_requested(known))


async def close(event: Event[OrderCancelled], tx: Tx) -> None:
    known = await tables.known(tx, event.data.order)
    await tables.apply(tx, decisions.order_cancelled(known))


HANDLERS: Handlers = {
    OrderConfirmed: learn_order,
    PizzaBaked: learn_baked,
    OrderCancellationRequested: decide_cancellation,
    OrderCancelled: close,
}
