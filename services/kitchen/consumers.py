"""What the kitchen does when orders speaks."""

from collections.abc import Sequence
from typing import Any

from backbone.database import Tx
from backbone.events import Event
from backbone.service import Handlers
from services.kitchen import decisions, tables
from services.kitchen.events import OrderCancellationRequested, OrderConfirmed


async def lock(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Lock every ticket that a batch may touch; a button pressed meanwhile waits, or is waited for."""
    await tables.lock_all(tx, (event.data.order for event in events))


async def open_ticket(event: Event[OrderConfirmed], tx: Tx) -> None:
    ticket = decisions.open_ticket(event.data.order, event.data.lines, tx.now)
    if ticket is not None:
        await tables.add(tx, ticket)


async def decide_cancellation(event: Event[OrderCancellationRequested], tx: Tx) -> None:
    """No ticket: nothing is baked, and delivery decides (orders' events about one order arrive in order)."""
    ticket = await tables.lock(tx, event.data.order)
    if ticket is not None:
        await tables.apply(tx, decisions.cancel(ticket))


HANDLERS: Handlers = {
    OrderConfirmed: open_ticket,
    OrderCancellationRequested: decide_cancellation,
}
