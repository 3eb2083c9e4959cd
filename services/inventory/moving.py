"""Locks all stock that a change can touch, and writes what was decided: for what orders do, and for the staff."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import asyncpg

from backbone.events.payload import Cause
from backbone.storage.database import Tx
from services.inventory import shortages, store
from services.inventory.backorders import Waiting
from services.inventory.decisions import Outcome, Stock
from services.inventory.levels import Levels


class Locked(NamedTuple):
    """Holds a stock whose rows are locked, and the stories of the orders that wait: their correlation ids."""

    stock: Stock
    stories: Mapping[str, str]


class Move(NamedTuple):
    """Holds what a fact about an order, or a command about a SKU, decided, and what led to it."""

    key: str
    outcome: Outcome
    cause: Cause


async def lock(tx: Tx, skus: Collection[str], orders: Collection[str] = ()) -> Locked:
    """Lock the levels of these SKUs, and of all SKUs that those need who wait for any of them; then reservations.

    Levels come before reservations, each kind in one sorted sweep. Raises SerializationError, which passes: meanwhile
    another order began to wait, and more levels are needed.
    """
    touched = await store.find_touched(tx, skus, orders)
    levels = await store.lock_levels(tx, touched)
    waiting = await store.find_waiting(tx, touched, orders)
    concerned = {*orders, *(each.order_id for each in waiting)}
    reservations = await store.lock_reservations(tx, concerned) if concerned else {}
    needed = {line.sku for each in waiting for line in each.lines}
    needed |= {line.sku for each in reservations.values() for line in each.lines}
    if not needed <= touched:
        raise asyncpg.SerializationError("An order began to wait, or was reserved, at the same moment.")
    # One that has ended all the same: who ended it did not see it wait, in a replica of an older release or because
    # its events lie in two partitions.
    await store.drop_backorders(tx, [each.order_id for each in waiting if each.order_id in reservations])
    left = [each for each in waiting if each.order_id not in reservations]
    stock = Stock(levels, reservations, {each.order_id: each.lines for each in left})
    return Locked(stock, {each.order_id: each.correlationid for each in left})


async def save(tx: Tx, locked: Locked, after: Stock, moves: Collection[Move]) -> None:
    """Write what became of a locked stock, and publish what these moves tell, each in its order's own story."""
    before = locked.stock
    stories = {**locked.stories, **{move.key: move.cause.correlationid for move in moves}}
    await store.save_levels(tx, before.levels, after.levels)
    await store.save_reservations(tx, before.reservations, after.reservations)
    await _save_waiting(tx, before.waiting, after.waiting, stories)
    for move in moves:
        _tell(tx, move, stories)
    await tell_shortages(tx, before.levels, after.levels)


async def tell_shortages(tx: Tx, before: Levels, after: Levels) -> None:
    """Publish which items cannot be made any more, or can be again."""
    if crossings := {each.sku: each for each in shortages.crossings(before, after)}:
        for use in await store.find_uses(tx, crossings.values()):
            if told := shortages.crossed(crossings[use.sku], use):
                tx.publish(told, key=use.sku)


async def _save_waiting(tx: Tx, before: Waiting, after: Waiting, stories: Mapping[str, str]) -> None:
    await store.drop_backorders(tx, before.keys() - after.keys())
    if new := after.keys() - before.keys():
        await store.add_backorders(tx, [store.Backorder(order, after[order], stories[order]) for order in sorted(new)])


def _tell(tx: Tx, move: Move, stories: Mapping[str, str]) -> None:
    outcome, cause = move.outcome, move.cause
    tx.apply(outcome.order, key=move.key, cause=cause)
    for order, decision in outcome.served.items():
        tx.apply(decision, key=order, cause=cause.within(stories[order]))
    for sku, change in outcome.levels.items():
        tx.apply(change, key=sku, cause=cause)
