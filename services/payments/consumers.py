"""What payments does about what it hears."""

from collections.abc import Sequence
from typing import Any

from backbone.database import Tx
from backbone.events import Event
from backbone.service import Handlers
from services.payments import decisions, store
from services.payments.events import OrderCancelled, OrderPlaced, OrderRejected


async def lock(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Lock the payments that a batch is about."""
    await store.lock_all(tx, sorted({event.data.order for event in events}))


async def queue(event: Event[OrderPlaced], tx: Tx) -> None:
    """An order was placed: it is to be paid, when its turn comes."""
    await store.apply(tx, decisions.placed(event.data))


async def undo(event: Event[OrderRejected] | Event[OrderCancelled], tx: Tx) -> None:
    """An order ended unpaid for. It was placed before: one topic keeps the order of one key."""
    payment = await store.locked(tx, event.data.order)
    if payment and (change := decisions.ended(payment, event.data.reason)):
        await store.apply(tx, change)


HANDLERS: Handlers = {OrderPlaced: queue, OrderRejected: undo, OrderCancelled: undo}
