"""Handles the events of orders and the kitchen, in whatever order the two arrive.

`decisions.FACTS` names the decision on each.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import Decision, fold
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.delivery import store
from services.delivery.decisions import FACTS, Delivery, Fact


async def hear(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Change deliveries as the events say; a button pressed meanwhile waits, or is waited for."""
    deliveries = await store.begin_all(tx, {event.data.order for event in events})
    decided = fold(deliveries, events, lambda event: event.data.order, _decide)
    for order, event, decision in decided:
        tx.apply(decision, key=order, cause=event.cause)
    await store.save_all(tx, decided.changed.values())


def _decide(delivery: Delivery | None, event: Event[Fact]) -> Decision[Delivery]:
    assert delivery  # noqa: S101  begun above
    if delivery.correlationid is None:
        delivery = replace(delivery, correlationid=event.correlationid)
    return FACTS[type(event.data)](delivery, event.data)


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(hear))
