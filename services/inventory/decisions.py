"""Decides what facts do to stock: what is there then, and what is told.

Every function takes whole levels and returns whole new ones, so that one fact or a thousand are folded over the same
stock before anything is written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from backbone.decision import Decision, Refusal
from backbone.events.payload import Payload
from services.inventory.events import (
    Availability,
    OrderCancelled,
    OrderCompleted,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    Recipe,
    RecipeChanged,
    Shortage,
    SkuRetired,
    StockLevelChanged,
    StockLine,
    StockRejected,
    StockReleased,
    StockReserved,
)

CHANNEL = "orders"
STAFF = "staff"
"""The channels of what orders do to stock, and of what the staff decides about it."""

Parts = tuple[StockLine, ...]
"""What one piece of an item uses up."""
Recipes = Mapping[str, Parts]
Fact = OrderPlaced | OrderRejected | OrderCancelled | OrderCompleted


class Level(msgspec.Struct, frozen=True):
    """Holds one SKU's counts: on_hand + sold = initial + adjusted, 0 <= reserved <= on_hand."""

    on_hand: int
    reserved: int
    sold: int
    initial: int
    adjusted: int
    threshold: int
    ceiling: int
    retired: bool = False
    """It is not kept any more: nobody can order or adjust it. Nothing of it is on hand."""

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


Levels = Mapping[str, Level]


class Reservation(msgspec.Struct, frozen=True):
    """Holds what an order was promised; it is given back or handed out once.

    Without lines it only remembers the order's end: nothing was promised, or nothing yet, because
    the end was heard first.
    """

    lines: tuple[StockLine, ...]
    status: Literal["open", "released", "sold"] = "open"


class Stock(msgspec.Struct, frozen=True):
    """Holds all that some facts can touch: the levels of SKUs, and reservations by order."""

    levels: Levels
    reservations: Mapping[str, Reservation]


class Outcome(msgspec.Struct, frozen=True):
    """Holds what one fact decides about its order (None: it stays as it is), then about SKUs."""

    order: Decision[Reservation | None] = Decision(None)
    levels: Mapping[str, Decision[Level]] = {}


class Reserved(msgspec.Struct, frozen=True):
    """Tells that every line is promised to the order; `levels` are the new ones."""

    lines: tuple[StockLine, ...]
    levels: dict[str, Level]


class Rejected(msgspec.Struct, frozen=True):
    """Tells that nothing is promised, because of what is in `short`."""

    lines: tuple[StockLine, ...]
    short: tuple[Shortage, ...]


class CrossedLimits(Refusal):
    """The ceiling would be under the threshold, so that stock could be too little and too much at once."""

    def __init__(self, threshold: int, ceiling: int) -> None:
        super().__init__(f"the ceiling, {ceiling}, would be under the threshold, {threshold}")


class Kept(Refusal):
    """A SKU of this name is kept already."""


class StillNeeded(Refusal):
    """The SKU cannot be retired; the text says why."""


class NotEnough(Refusal):
    """An adjustment would take away more pieces than are free."""

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.level = level


def fold(stock: Stock, recipes: Recipes, facts: Iterable[Fact]) -> tuple[Stock, list[Outcome]]:
    """Decide by all facts in their order, each over the stock that those before it left."""
    levels, reservations = dict(stock.levels), dict(stock.reservations)
    outcomes = []
    for fact in facts:
        outcome = FACTS[type(fact)](levels, reservations.get(fact.order), recipes, fact)
        levels |= {sku: decision.state for sku, decision in outcome.levels.items()}
        if outcome.order.state:
            reservations[fact.order] = outcome.order.state
        outcomes.append(outcome)
    return Stock(levels, reservations), outcomes


# An order is reserved once, and what is not open does not end. An order may be heard to end before it is heard of: its
# events can lie in two partitions when their number changed.


def placed(levels: Levels, before: Reservation | None, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    """Reserve all that a new order needs, or reject it."""
    if before is None:
        return _reserved(levels, recipes, fact)
    return _sold_unheard(levels, recipes, fact) if before == Reservation((), "sold") else Outcome()


def given_up(levels: Levels, before: Reservation | None, _: Recipes, fact: OrderRejected | OrderCancelled) -> Outcome:
    """Release what an order that was rejected or cancelled had reserved."""
    if before is None or before.status != "open":
        return _remembered(before, "released")
    ending = "cancelled" if isinstance(fact, OrderCancelled) else "rejected"
    after = release(levels, before.lines)
    released = StockReleased(order=fact.order, lines=before.lines)
    return Outcome(
        Decision(replace(before, status="released"), (released,)),
        changes(levels, after, CHANNEL, f"order {fact.order} {ending}"),
    )


def completed(levels: Levels, before: Reservation | None, _: Recipes, fact: OrderCompleted) -> Outcome:
    """Sell what an order that was handed over had reserved."""
    if before is None or before.status != "open":
        return _remembered(before, "sold")
    after = sell(levels, before.lines)
    return Outcome(
        Decision(replace(before, status="sold")),
        changes(levels, after, CHANNEL, f"order {fact.order} completed"),
    )


FACTS: Mapping[type[Payload], Callable[[Levels, Reservation | None, Recipes, Any], Outcome]] = {
    OrderPlaced: placed,
    OrderRejected: given_up,
    OrderCancelled: given_up,
    OrderCompleted: completed,
}
"""What happens on which event, given the levels, the order's reservation and the recipes."""


def _reserved(levels: Levels, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    decision = reserve(levels, recipes, fact.lines)
    if isinstance(decision, Rejected):
        rejected = StockRejected(order=fact.order, lines=decision.lines, short=decision.short)
        return Outcome(Decision(None, (rejected,)))
    reserved = StockReserved(order=fact.order, lines=decision.lines)
    return Outcome(
        Decision(Reservation(decision.lines), (reserved,)),
        changes(levels, decision.levels, CHANNEL, f"order {fact.order} placed"),
    )


def _sold_unheard(levels: Levels, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    """Promise and sell at once pieces that have left the house, as far as the books have them."""
    outcome = _reserved(levels, recipes, fact)
    reservation = outcome.order.state
    if reservation is None:
        return outcome
    sold = sell({sku: decision.state for sku, decision in outcome.levels.items()}, reservation.lines)
    return Outcome(
        replace(outcome.order, state=replace(reservation, status="sold")),
        {sku: replace(decision, state=sold[sku]) for sku, decision in outcome.levels.items()},
    )


def _remembered(before: Reservation | None, end: Literal["released", "sold"]) -> Outcome:
    return Outcome() if before else Outcome(Decision(Reservation((), end)))


def needs(recipes: Recipes, lines: Iterable[OrderLine]) -> tuple[StockLine, ...]:
    """Sum up what the lines use up, by SKU and sorted. An item without a recipe is its own SKU."""
    pieces: dict[str, int] = {}
    for line in lines:
        for part in recipes.get(line.item, (StockLine(line.item, 1),)):
            pieces[part.sku] = pieces.get(part.sku, 0) + part.quantity * line.quantity
    return tuple(StockLine(sku, quantity) for sku, quantity in sorted(pieces.items()))


def reserve(stock: Levels, recipes: Recipes, lines: Iterable[OrderLine]) -> Reserved | Rejected:
    """Promise all lines or none. `stock` holds the SKUs they need; a missing one does not exist."""
    needed = needs(recipes, lines)
    short = tuple(
        Shortage(line.sku, line.quantity, available)
        for line in needed
        if (available := _available(stock, line.sku)) < line.quantity
    )
    if short:
        return Rejected(needed, short)
    return Reserved(needed, {line.sku: _promised(stock[line.sku], line.quantity) for line in needed})


def release(stock: Levels, lines: Iterable[StockLine]) -> dict[str, Level]:
    """Return the levels once the lines of an open reservation are free again."""
    return {line.sku: _promised(stock[line.sku], -line.quantity) for line in lines}


def sell(stock: Levels, lines: Iterable[StockLine]) -> dict[str, Level]:
    """Return the levels once the lines of an open reservation have left the house."""
    return {line.sku: _sold(stock[line.sku], line.quantity) for line in lines}


def adjust(level: Level, change: int) -> Level:
    """Add pieces, or take them away. Raises NotEnough when promised ones would be missing."""
    if level.available + change < 0:
        raise NotEnough(level)
    return replace(level, on_hand=level.on_hand + change, adjusted=level.adjusted + change)


def count(level: Level, on_hand: int) -> Level:
    """Set `on_hand` to what somebody counted. Raises NotEnough when fewer than are promised."""
    return adjust(level, on_hand - level.on_hand)


def limit(level: Level, threshold: int | None, ceiling: int | None) -> Level:
    """Set limits; None leaves one as it is. Raises CrossedLimits if the ceiling is lower."""
    threshold = level.threshold if threshold is None else threshold
    ceiling = level.ceiling if ceiling is None else ceiling
    if ceiling < threshold:
        raise CrossedLimits(threshold, ceiling)
    return replace(level, threshold=threshold, ceiling=ceiling)


def add(before: Level | None, on_hand: int, threshold: int, ceiling: int) -> Level:
    """Begin to keep a SKU, a new one or one that was retired. Raises Kept, or CrossedLimits."""
    if before is None:
        level = Level(on_hand, reserved=0, sold=0, initial=on_hand, adjusted=0, threshold=threshold, ceiling=ceiling)
    elif before.retired:
        level = replace(adjust(before, on_hand), retired=False)
    else:
        raise Kept
    return limit(level, threshold, ceiling)


def retire(sku: str, level: Level, needed_by: Sequence[str], by: str) -> Decision[Level]:
    """Stop keeping a SKU; `needed_by` are the items whose recipes use it. Raises StillNeeded."""
    if level.reserved:
        raise StillNeeded(f"{level.on_hand} are on hand, {level.reserved} of them reserved for orders.")
    if level.on_hand:
        raise StillNeeded(f"{level.on_hand} are on hand: take them away by an adjustment first.")
    if needed_by:
        raise StillNeeded(f"The recipe of {', '.join(needed_by[:10])} needs it: change that first.")
    return Decision(replace(level, retired=True), (SkuRetired(sku=sku, by=by),))


def change_recipe(item: str, before: Parts | None, after: Parts | None, by: str) -> Decision[Parts | None]:
    """Change what an item uses up; None: it has no recipe. One that stays as it is says nothing."""
    if after == before:
        return Decision(before)
    return Decision(after, (RecipeChanged(item=item, before=_recipe(before), after=_recipe(after), by=by),))


def begins(sku: str, level: Level, reason: str) -> Decision[Level]:
    """Tell of the first level of a SKU that was added."""
    return Decision(level, (_told(sku, level, UNSET, STAFF, reason),))


def changes(before: Levels, after: Levels, channel: str, reason: str) -> dict[str, Decision[Level]]:
    """Decide that levels are as `after` says; tell of each whose available or limits changed."""
    return {sku: _change(sku, before[sku], level, channel, reason) for sku, level in after.items()}


def _change(sku: str, before: Level, after: Level, channel: str, reason: str) -> Decision[Level]:
    if _shown(after) == _shown(before):
        return Decision(after)
    return Decision(after, (_told(sku, after, Availability(before.available), channel, reason),))


def _told(sku: str, level: Level, before: Availability | UnsetType, channel: str, reason: str) -> StockLevelChanged:
    return StockLevelChanged(
        sku=sku,
        before=before,
        after=Availability(level.available),
        threshold=level.threshold,
        ceiling=level.ceiling,
        channel=channel,
        reason=reason,
    )


def _recipe(parts: Parts | None) -> Recipe | UnsetType:
    return UNSET if parts is None else Recipe(parts)


def _available(stock: Levels, sku: str) -> int:
    return stock[sku].available if sku in stock and not stock[sku].retired else 0


def _promised(level: Level, quantity: int) -> Level:
    return replace(level, reserved=level.reserved + quantity)


def _sold(level: Level, quantity: int) -> Level:
    return replace(
        level,
        on_hand=level.on_hand - quantity,
        reserved=level.reserved - quantity,
        sold=level.sold + quantity,
    )


def _shown(level: Level) -> tuple[int, int, int]:
    return level.available, level.threshold, level.ceiling
