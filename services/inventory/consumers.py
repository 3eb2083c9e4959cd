"""Handles the events of orders: `decisions.FACTS` names the decision on each.

One fold decides a batch of any mixture.
"""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.inventory import decisions, store
from services.inventory.decisions import FACTS, Fact, Recipes, Stock
from services.inventory.events import OrderPlaced


async def move_stock(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Reserve, release and sell in the order of the events.

    Every change of a level is told, also one undone later.
    """
    facts = [event.data for event in events]
    recipes = await store.find_recipes(tx, {line.item for fact in _placed(facts) for line in fact.lines})
    before = await _lock(tx, recipes, facts)
    after, outcomes = decisions.fold(before, recipes, facts)
    await store.save_levels(tx, before.levels, after.levels)
    await store.save_reservations(tx, before.reservations, after.reservations)
    for event, outcome in zip(events, outcomes, strict=True):
        tx.apply(outcome.order, key=event.data.order, cause=event.cause)
        for sku, decision in outcome.levels.items():
            tx.apply(decision, key=sku, cause=event.cause)


async def _lock(tx: Tx, recipes: Recipes, facts: Sequence[Fact]) -> Stock:
    """Lock the reservations of these orders, then all levels that can change.

    Each kind is locked in one sorted sweep.
    """
    reservations = await store.lock_reservations(tx, {fact.order for fact in facts})
    skus = {part.sku for fact in _placed(facts) for part in decisions.needs(recipes, fact.lines)}
    skus |= {line.sku for reservation in reservations.values() for line in reservation.lines}
    return Stock(await store.lock_levels(tx, skus), reservations)


def _placed(facts: Sequence[Fact]) -> list[OrderPlaced]:
    return [fact for fact in facts if isinstance(fact, OrderPlaced)]


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(move_stock))
