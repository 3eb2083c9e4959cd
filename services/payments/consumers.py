"""What payments does about what it hears."""

from collections.abc import Sequence
from typing import Any

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.payments import decisions, store
from services.payments.decisions import Payment
from services.payments.events import OrderCancelled, OrderPlaced, OrderRejected


async def hear(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Queue the payments of new orders, to be made when their turn comes; undo those of orders that ended unpaid."""
    payments = await store.lock_all(tx, {event.data.order for event in events})
    changed: dict[str, Payment] = {}
    for event in events:
        order = event.data.order
        if change := decisions.heard(payments.get(order), event.data):
            payments[order] = changed[order] = change.payment
            store.tell(tx, change, event.cause)
    await store.save_all(tx, changed.values())


HANDLERS: Handlers = dict.fromkeys((OrderPlaced, OrderRejected, OrderCancelled), BatchHandler(hear))
