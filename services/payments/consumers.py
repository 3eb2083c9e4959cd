"""Handles the events of orders: `decisions.FACTS` names the decision on each."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.decision import fold
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.payments import store
from services.payments.decisions import FACTS, Decision, Fact, Payment


async def hear(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Queue the payments of new orders, undo those of orders that ended unpaid, and begin refunds.

    A queued payment is made when its turn comes.
    """
    payments = await store.lock_all(tx, {event.data.order for event in events})
    decided = fold(payments, events, lambda event: event.data.order, _decide)
    for order, event, decision in decided:
        tx.apply(decision, key=order, cause=event.cause)
    await store.save_all(tx, [each for order, each in decided.changed.items() if each != payments.get(order)])
    await store.save_refunds(tx, [refund for _, _, decision in decided for refund in decision.refunds])


def _decide(payment: Payment | None, event: Event[Fact]) -> Decision | None:
    return FACTS[type(event.data)](payment, event.data)


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(hear))
