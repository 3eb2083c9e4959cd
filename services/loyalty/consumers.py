"""Handles the events of orders: `decisions.FACTS` names the decision on each."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import fold
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.loyalty import store
from services.loyalty.decisions import FACTS, Credit, Fact


async def credit_orders(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Credit any number of orders, in the order of the events."""
    balances = await store.begin_all(tx, (event.data.customer_id for event in events))
    credited = fold(balances, events, lambda event: event.data.customer_id, _decide)
    for customer, event, credit in credited:
        tx.apply(credit, key=customer, cause=event.cause)
    await store.save_all(tx, credited.changed, [earned for _, _, credit in credited for earned in credit.events])


def _decide(balance: int | None, event: Event[Fact]) -> Credit | None:
    return FACTS[type(event.data)](balance or 0, event.data)


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(credit_orders))
