"""Decides what facts do to stock: what is there then, and what is told.

Every function takes a whole stock and returns what is different, so that one fact or a thousand are folded over the
same stock before anything is written.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision
from backbone.events.payload import Payload
from services.inventory.backorders import NOTHING, Claims, Waiting, claims, free, supply
from services.inventory.events import (
    BackorderWithdrawn,
    OrderCancelled,
    OrderCompleted,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    Shortage,
    StockBackordered,
    StockLine,
    StockRejected,
    StockReleased,
    StockReserved,
)
from services.inventory.levels import Level, Levels, changes, promise, release, sell
from services.inventory.recipes import Recipes, own

CHANNEL = "orders"
"""The channel of what orders do to stock."""

Fact = OrderPlaced | OrderRejected | OrderCancelled | OrderCompleted


class Reservation(msgspec.Struct, frozen=True):
    """Holds what an order was promised; it is given back or handed out once.

    Without lines it only remembers the order's end: nothing was promised, or nothing yet, because
    the end was heard first.
    """

    lines: tuple[StockLine, ...]
    status: Literal["open", "released", "sold"] = "open"


class Stock(msgspec.Struct, frozen=True):
    """Holds all that some facts can touch: the levels of SKUs, reservations by order, and the orders that wait."""

    levels: Levels
    reservations: Mapping[str, Reservation]
    waiting: Waiting = {}


class Outcome(msgspec.Struct, frozen=True):
    """Holds what one fact decides about its order (None: it stays as it is), then about SKUs.

    `waits` is what the order waits for from now on, if it does; `served` are orders that waited and need not any more.
    """

    order: Decision[Reservation | None] = Decision(None)
    levels: Mapping[str, Decision[Level]] = {}
    waits: tuple[StockLine, ...] = ()
    served: Mapping[str, Decision[Reservation]] = {}


class Reserved(msgspec.Struct, frozen=True):
    """Tells that every line is promised to the order; `levels` are the new ones."""

    lines: tuple[StockLine, ...]
    levels: dict[str, Level]


class Rejected(msgspec.Struct, frozen=True):
    """Tells that nothing is promised, because of what is in `short`."""

    lines: tuple[StockLine, ...]
    short: tuple[Shortage, ...]


def fold(stock: Stock, recipes: Recipes, facts: Iterable[Fact]) -> tuple[Stock, list[Outcome]]:
    """Decide by all facts in their order, each over the stock that those before it left."""
    books = _Books(stock)
    outcomes = []
    for fact in facts:
        outcome = FACTS[type(fact)](books.stock, recipes, fact)
        books.note(outcome, fact.order)
        outcomes.append(outcome)
    return books.stock, outcomes


def restock(stock: Stock, sku: str, level: Level, channel: str, reason: str) -> tuple[Stock, Outcome]:
    """Set the level of a SKU, as somebody beside orders changed it, and serve those who waited for it."""
    changed = Outcome(levels=changes({sku: stock.levels[sku]}, {sku: level}, channel, reason))
    outcome = _serving(stock, changed)
    books = _Books(stock)
    books.note(outcome)
    return books.stock, outcome


class _Books:
    """Is a stock in which outcomes are noted one after the other, without a copy of all of it for each."""

    def __init__(self, stock: Stock) -> None:
        self._levels = dict(stock.levels)
        self._reservations = dict(stock.reservations)
        self._waiting = dict(stock.waiting)
        self.stock = Stock(self._levels, self._reservations, self._waiting)

    def note(self, outcome: Outcome, order: str | None = None) -> None:
        """Note what an outcome changes; `order` is the one that it is about."""
        self._levels |= {sku: decision.state for sku, decision in outcome.levels.items()}
        settled = {each: decision.state for each, decision in outcome.served.items()}
        if order is not None:
            if outcome.order.state:
                settled[order] = outcome.order.state
            if outcome.waits:
                self._waiting[order] = outcome.waits
        self._reservations |= settled
        for each in settled:
            self._waiting.pop(each, None)


# An order is reserved once, and what is not open does not end. An order may be heard to end before it is heard of: its
# events can lie in two partitions when their number changed.


def placed(stock: Stock, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    """Reserve all that a new order needs, let it wait for what is short, or reject it."""
    before = stock.reservations.get(fact.order)
    if before is None and fact.order not in stock.waiting:
        return _reserved(stock, recipes, fact)
    return _sold_unheard(stock, recipes, fact) if before == Reservation((), "sold") else Outcome()


def given_up(stock: Stock, _: Recipes, fact: OrderRejected | OrderCancelled) -> Outcome:
    """Release what an order that was rejected or cancelled had reserved, or its place among those who wait."""
    before = stock.reservations.get(fact.order)
    if before is None or before.status != "open":
        outcome = _remembered(stock, fact.order, "released")
        return _serving(stock, outcome, without=fact.order) if fact.order in stock.waiting else outcome
    ending = "cancelled" if isinstance(fact, OrderCancelled) else "rejected"
    after = release(stock.levels, before.lines)
    released = StockReleased(order=fact.order, lines=before.lines)
    outcome = Outcome(
        Decision(replace(before, status="released"), (released,)),
        changes(stock.levels, after, CHANNEL, f"order {fact.order} {ending}"),
    )
    return _serving(stock, outcome)


def completed(stock: Stock, _: Recipes, fact: OrderCompleted) -> Outcome:
    """Sell what an order that was handed over had reserved."""
    before = stock.reservations.get(fact.order)
    if before is None or before.status != "open":
        return _remembered(stock, fact.order, "sold")
    after = sell(stock.levels, before.lines)
    return Outcome(
        Decision(replace(before, status="sold")),
        changes(stock.levels, after, CHANNEL, f"order {fact.order} completed"),
    )


FACTS: Mapping[type[Payload], Callable[[Stock, Recipes, Any], Outcome]] = {
    OrderPlaced: placed,
    OrderRejected: given_up,
    OrderCancelled: given_up,
    OrderCompleted: completed,
}
"""What happens on which event, given the stock and the recipes."""


def _reserved(stock: Stock, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    decision = reserve(stock.levels, recipes, fact.lines, claims(stock.waiting, before=fact.order))
    if isinstance(decision, Rejected):
        if _may_wait(stock.levels, recipes, fact, decision.short):
            waits = StockBackordered(order=fact.order, lines=decision.lines, short=decision.short)
            return Outcome(Decision(None, (waits,)), waits=decision.lines)
        rejected = StockRejected(order=fact.order, lines=decision.lines, short=decision.short)
        return Outcome(Decision(None, (rejected,)))
    reserved = StockReserved(order=fact.order, lines=decision.lines)
    return Outcome(
        Decision(Reservation(decision.lines), (reserved,)),
        changes(stock.levels, decision.levels, CHANNEL, f"order {fact.order} placed"),
    )


def _may_wait(levels: Levels, recipes: Recipes, fact: OrderPlaced, short: Iterable[Shortage]) -> bool:
    """Tell whether all that is short is kept in stock, and needed only for items that customers wait for."""
    needed_at_once = [line for line in fact.lines if line.item not in fact.back_orderable]
    skus = {shortage.sku for shortage in short}
    if not all(sku in levels and not levels[sku].retired for sku in skus):
        return False
    return skus.isdisjoint(part.sku for part in needs(recipes, needed_at_once))


def _sold_unheard(stock: Stock, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    """Promise and sell at once pieces that have left the house, as far as the books have them."""
    outcome = _reserved(stock, recipes, replace(fact, back_orderable=()))
    reservation = outcome.order.state
    if reservation is None:
        return outcome
    sold = sell({sku: decision.state for sku, decision in outcome.levels.items()}, reservation.lines)
    return Outcome(
        replace(outcome.order, state=replace(reservation, status="sold")),
        {sku: replace(decision, state=sold[sku]) for sku, decision in outcome.levels.items()},
    )


def _remembered(stock: Stock, order: str, end: Literal["released", "sold"]) -> Outcome:
    if order in stock.reservations:
        return Outcome()
    withdrawn = (BackorderWithdrawn(order=order),) if order in stock.waiting else ()
    return Outcome(Decision(Reservation((), end), withdrawn))


def _serving(stock: Stock, outcome: Outcome, without: str | None = None) -> Outcome:
    """Add to an outcome that what it leaves is promised to those who wait, but the one order that ends with it."""
    waiting = {order: lines for order, lines in stock.waiting.items() if order != without}
    levels = {**stock.levels, **{sku: decision.state for sku, decision in outcome.levels.items()}}
    told, served = dict(outcome.levels), {}
    for order, lines, before, after in supply(levels, waiting):
        reserved = StockReserved(order=order, lines=lines)
        served[order] = Decision(Reservation(lines), (reserved,))
        for sku, change in changes(before, after, CHANNEL, f"order {order} need not wait any more").items():
            earlier = told[sku].events if sku in told else ()
            told[sku] = replace(change, events=(*earlier, *change.events))
    return replace(outcome, levels=told, served=served)


def needs(recipes: Recipes, lines: Iterable[OrderLine]) -> tuple[StockLine, ...]:
    """Sum up what the lines use up, by SKU and sorted. An item without a recipe is its own SKU."""
    pieces: dict[str, int] = {}
    for line in lines:
        for part in recipes.get(line.item, own(line.item)):
            pieces[part.sku] = pieces.get(part.sku, 0) + part.quantity * line.quantity
    return tuple(StockLine(sku, quantity) for sku, quantity in sorted(pieces.items()))


def reserve(
    stock: Levels, recipes: Recipes, lines: Iterable[OrderLine], claimed: Claims = NOTHING
) -> Reserved | Rejected:
    """Promise all lines or none. `stock` holds the SKUs they need; a missing one does not exist.

    What is `claimed` by those who wait is not free while there is too little for them.
    """
    needed = needs(recipes, lines)
    short = tuple(
        Shortage(line.sku, line.quantity, there)
        for line in needed
        if (there := free(stock, claimed, line.sku)) < line.quantity
    )
    return Rejected(needed, short) if short else Reserved(needed, promise(stock, needed))
