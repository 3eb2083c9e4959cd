"""Handles the events of orders and reviews: `decisions.FACTS` names the decision on each."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import fold
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.loyalty import store
from services.loyalty.decisions import FACTS, Credit, Fact


async def credit(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Credit what any number of events are worth, in their order."""
    balances = await store.begin_all(tx, (event.data.customer_id for event in events))
    credited = fold(balances, events, lambda event: event.data.customer_id, _decide)
    for customer, event, decision in credited:
        tx.apply(decision, key=customer, cause=event.cause)
    await store.save_all(tx, credited.changed, [each for _, _, decision in credited for each in decision.events])


def _decide(balance: int | None, event: Event[Fact]) -> Credit | None:
    return FACTS[type(event.data)](balance or 0, event.data)


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(credit))
