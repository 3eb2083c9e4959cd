"""What the kitchen does when orders speaks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.kitchen import decisions, store
from services.kitchen.decisions import Ticket
from services.kitchen.events import OrderCancellationRequested, OrderConfirmed


async def hear(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Open tickets and decide cancellations; a button pressed meanwhile waits, or is waited for."""
    tickets = await store.lock_all(tx, {event.data.order for event in events})
    changed: dict[str, Ticket] = {}
    for event in events:
        order = event.data.order
        if decision := decisions.heard(tickets.get(order), event.data, tx.now):
            ticket = decision.ticket
            if order not in tickets:
                ticket = replace(ticket, correlationid=event.correlationid)
            tickets[order] = changed[order] = ticket
            for told in decision.events:
                tx.publish(told, key=order, cause=event.cause)
    await store.save_all(tx, changed.values())


HANDLERS: Handlers = dict.fromkeys((OrderConfirmed, OrderCancellationRequested), BatchHandler(hear))
