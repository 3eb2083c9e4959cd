"""What loyalty does when orders speaks."""

from collections.abc import Sequence
from typing import Any

from backbone.database import Tx
from backbone.events import Event
from backbone.service import Handlers
from services.loyalty import decisions, tables
from services.loyalty.events import OrderCompleted


async def lock(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Lock every account that a batch touches, opened here where there is none."""
    await tables.lock_all(tx, (event.data.customer_id for event in events))


async def credit_order(event: Event[OrderCompleted], tx: Tx) -> None:
    await credit_orders([event.data], tx)


async def credit_orders(orders: Sequence[OrderCompleted], tx: Tx) -> None:
    """Credit any number of orders in two statements. Their accounts are locked."""
    balances = await tables.balances(tx, (order.customer_id for order in orders))
    credit = decisions.credit(balances, orders)
    if not credit.events:
        return
    await tables.save(tx, credit)
    for earned in credit.events:
        tx.publish(earned, key=earned.customer_id)


HANDLERS: Handlers = {OrderCompleted: credit_order}
