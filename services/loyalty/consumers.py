"""What loyalty does when orders speaks."""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.loyalty import decisions, store
from services.loyalty.events import OrderCompleted


async def credit_orders(events: Sequence[Event[OrderCompleted]], tx: Tx) -> None:
    """Credit any number of orders, in the order of the events."""
    balances = await store.begin_all(tx, (event.data.customer_id for event in events))
    credit = decisions.credit(balances, (event.data for event in events))
    await store.save(tx, credit)
    for event, earned in zip(events, credit.earned, strict=True):
        if earned:
            tx.publish(earned, key=earned.customer_id, cause=event.cause)


HANDLERS: Handlers = {OrderCompleted: BatchHandler(credit_orders)}
