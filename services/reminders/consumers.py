"""Handles what carts says: `decisions.FACTS` says what is done on which event."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import Decision, fold
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.reminders import store
from services.reminders.decisions import FACTS, Fact, Reminder


async def hear(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Note what is in the carts, and since when; a job that looks meanwhile waits, or is waited for."""

    def decide(known: Reminder | None, event: Event[Fact]) -> Decision[Reminder] | None:
        return FACTS[type(event.data)](known, event, tx.now)

    reminders = await store.lock_all(tx, {event.data.cart for event in events})
    decided = fold(reminders, events, lambda event: event.data.cart, decide)
    for cart, event, decision in decided:
        tx.apply(decision, key=cart, cause=event.cause)
    await store.save_all(tx, decided.changed.values())


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(hear))
