"""What inventory does about orders: promise, take back, hand out."""

from collections.abc import Sequence
from typing import Any

from backbone.database import Tx
from backbone.events import Event
from backbone.service import Handlers
from services.inventory import decisions, warehouse
from services.inventory.events import (
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    OrderRejected,
    StockRejected,
    StockReleased,
    StockReserved,
)

CHANNEL = "orders"


async def lock(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Takes the stock rows of the whole batch in one sorted sweep, so that two batches never deadlock."""
    placed = [event.data for event in events if isinstance(event.data, OrderPlaced)]
    ending = [event.data.order for event in events if not isinstance(event.data, OrderPlaced)]
    await warehouse.lock_batch(tx, (line.item for order in placed for line in order.lines), ending)


async def reserve(event: Event[OrderPlaced], tx: Tx) -> None:
    order, lines = event.data.order, event.data.lines
    recipes = await warehouse.read_recipes(tx, {line.item for line in lines})
    # Locked again: a recipe may have changed since the batch took its locks, and then names other rows.
    levels = await warehouse.lock_levels(tx, (line.sku for line in decisions.needs(recipes, lines)))
    decision = decisions.reserve(levels, recipes, lines)
    if isinstance(decision, decisions.Rejected):
        tx.publish(StockRejected(order=order, lines=decision.lines, short=decision.short), key=order)
        return
    await warehouse.open_reservation(tx, order, decision.lines)
    tx.publish(StockReserved(order=order, lines=decision.lines), key=order)
    await warehouse.change_levels(tx, levels, decision.levels, CHANNEL, f"order {order} placed")


async def release(event: Event[OrderRejected | OrderCancelled], tx: Tx) -> None:
    order = event.data.order
    if lines := await warehouse.close_reservation(tx, order, "released"):
        before = await warehouse.lock_levels(tx, (line.sku for line in lines))
        after = decisions.release(before, lines)
        ending = "cancelled" if isinstance(event.data, OrderCancelled) else "rejected"
        tx.publish(StockReleased(order=order, lines=lines), key=order)
        await warehouse.change_levels(tx, before, after, CHANNEL, f"order {order} {ending}")


async def sell(event: Event[OrderCompleted], tx: Tx) -> None:
    order = event.data.order
    if lines := await warehouse.close_reservation(tx, order, "sold"):
        before = await warehouse.lock_levels(tx, (line.sku for line in lines))
        after = decisions.sell(before, lines)
        await warehouse.change_levels(tx, before, after, CHANNEL, f"order {order} completed")


HANDLERS: Handlers = {
    OrderPlaced: reserve,
    OrderRejected: release,
    OrderCancelled: release,
    OrderCompleted: sell,
}
