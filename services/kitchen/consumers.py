"""Handles the events of orders: `decisions.FACTS` names the decision on each."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import Decision, fold
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.kitchen import store
from services.kitchen.decisions import FACTS, Fact, Ticket


async def hear(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Open tickets and decide cancellations; a button pressed meanwhile waits, or is waited for."""

    def decide(ticket: Ticket | None, event: Event[Fact]) -> Decision[Ticket] | None:
        return FACTS[type(event.data)](ticket, event, tx.now)

    tickets = await store.lock_all(tx, {event.data.order for event in events})
    decided = fold(tickets, events, lambda event: event.data.order, decide)
    for order, event, decision in decided:
        tx.apply(decision, key=order, cause=event.cause)
    await store.save_all(tx, decided.changed.values())


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(hear))
