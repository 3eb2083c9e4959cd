"""Handles the events of orders: `decisions.FACTS` names the decision on each.

One fold decides a batch of any mixture.
"""

from collections.abc import Sequence

from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.events.payload import Event
from backbone.storage.database import Tx
from services.inventory import decisions, moving, store
from services.inventory.decisions import FACTS, Fact
from services.inventory.events import OrderPlaced
from services.inventory.moving import Move


async def move_stock(events: Sequence[Event[Fact]], tx: Tx) -> None:
    """Reserve, release and sell in the order of the events.

    Every change of a level is told, also one undone later.
    """
    facts = [event.data for event in events]
    placed = [fact for fact in facts if isinstance(fact, OrderPlaced)]
    recipes = await store.find_recipes(tx, {line.item for fact in placed for line in fact.lines})
    skus = {part.sku for fact in placed for part in decisions.needs(recipes, fact.lines)}
    locked = await moving.lock(tx, skus, {fact.order for fact in facts})
    after, outcomes = decisions.fold(locked.stock, recipes, facts)
    moves = [Move(event.data.order, outcome, event.cause) for event, outcome in zip(events, outcomes, strict=True)]
    await moving.save(tx, locked, after, moves)


HANDLERS: Handlers = dict.fromkeys(FACTS, BatchHandler(move_stock))
