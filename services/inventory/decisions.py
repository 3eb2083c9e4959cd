"""Stock, decided: what is there and what happened in, what is there then and what is told out.

Every function takes whole levels and returns whole new ones, so that one fact or a thousand are folded over the same
stock before anything is written.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from backbone.errors import SlicelineError
from backbone.events.payload import Payload
from services.inventory.events import (
    Availability,
    OrderCancelled,
    OrderCompleted,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    Shortage,
    StockLevelChanged,
    StockLine,
    StockRejected,
    StockReleased,
    StockReserved,
)

CHANNEL = "orders"

Recipes = Mapping[str, tuple[StockLine, ...]]
Fact = OrderPlaced | OrderRejected | OrderCancelled | OrderCompleted


class Level(msgspec.Struct, frozen=True):
    """One SKU. It holds: on_hand + sold = initial + adjusted, and 0 <= reserved <= on_hand."""

    on_hand: int
    reserved: int
    sold: int
    initial: int
    adjusted: int
    threshold: int
    ceiling: int

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


Levels = Mapping[str, Level]


class Reservation(msgspec.Struct, frozen=True):
    """What an order was promised; it is given back or handed out once. Without lines it only remembers the order's end:
    nothing was promised, or nothing yet, because the end was heard first.
    """

    lines: tuple[StockLine, ...]
    status: Literal["open", "released", "sold"] = "open"


class Stock(msgspec.Struct, frozen=True):
    """All that some facts can touch: the levels of SKUs, and reservations by order."""

    levels: Levels
    reservations: Mapping[str, Reservation]


class Outcome(msgspec.Struct, frozen=True):
    """What one fact changes, and what is told of it, in order."""

    levels: Levels = {}
    reservation: Reservation | None = None
    told: tuple[Payload, ...] = ()


class Reserved(msgspec.Struct, frozen=True):
    """Every line is promised to the order; `levels` are the new ones."""

    lines: tuple[StockLine, ...]
    levels: dict[str, Level]


class Rejected(msgspec.Struct, frozen=True):
    """Nothing is promised, because of what is in `short`."""

    lines: tuple[StockLine, ...]
    short: tuple[Shortage, ...]


class CrossedLimits(SlicelineError):
    """The ceiling would be under the threshold, so that stock could be too little and too much at once."""

    def __init__(self, threshold: int, ceiling: int) -> None:
        super().__init__(f"the ceiling, {ceiling}, would be under the threshold, {threshold}")


class NotEnough(SlicelineError):
    """An adjustment would take away more pieces than are free."""

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.level = level


def fold(stock: Stock, recipes: Recipes, facts: Iterable[Fact]) -> tuple[Stock, list[tuple[Payload, ...]]]:
    """The stock after all facts in their order, and what is told of each of them."""
    levels, reservations = dict(stock.levels), dict(stock.reservations)
    told = []
    for fact in facts:
        outcome = decide(levels, reservations.get(fact.order), recipes, fact)
        levels |= outcome.levels
        if outcome.reservation:
            reservations[fact.order] = outcome.reservation
        told.append(outcome.told)
    return Stock(levels, reservations), told


def decide(levels: Levels, reservation: Reservation | None, recipes: Recipes, fact: Fact) -> Outcome:
    """What becomes of an order's `reservation`; an order is reserved once, and what is not open does not end.

    An order may be heard to end before it is heard of: its events can lie in two partitions when their number changed.
    """
    if isinstance(fact, OrderPlaced):
        return _heard_of(levels, reservation, recipes, fact)
    if reservation is None:
        return Outcome(reservation=Reservation((), "sold" if isinstance(fact, OrderCompleted) else "released"))
    if reservation.status != "open":
        return Outcome()
    if isinstance(fact, OrderCompleted):
        return _completed(levels, reservation, fact)
    return _given_up(levels, reservation, fact)


def _heard_of(levels: Levels, before: Reservation | None, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    if before is None:
        return _placed(levels, recipes, fact)
    return _placed_after_its_end(levels, recipes, fact) if before == Reservation((), "sold") else Outcome()


def _placed_after_its_end(levels: Levels, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    """The pieces have left the house: promise and sell in one, as far as the books have them."""
    placed = _placed(levels, recipes, fact)
    if placed.reservation is None:
        return placed
    after = sell(placed.levels, placed.reservation.lines)
    return Outcome(after, replace(placed.reservation, status="sold"), placed.told)


def _placed(levels: Levels, recipes: Recipes, fact: OrderPlaced) -> Outcome:
    decision = reserve(levels, recipes, fact.lines)
    if isinstance(decision, Rejected):
        return Outcome(told=(StockRejected(order=fact.order, lines=decision.lines, short=decision.short),))
    reserved = StockReserved(order=fact.order, lines=decision.lines)
    changed = changes(levels, decision.levels, CHANNEL, f"order {fact.order} placed")
    return Outcome(decision.levels, Reservation(decision.lines), (reserved, *changed))


def _given_up(levels: Levels, open_: Reservation, fact: OrderRejected | OrderCancelled) -> Outcome:
    ending = "cancelled" if isinstance(fact, OrderCancelled) else "rejected"
    after = release(levels, open_.lines)
    released = StockReleased(order=fact.order, lines=open_.lines)
    changed = changes(levels, after, CHANNEL, f"order {fact.order} {ending}")
    return Outcome(after, replace(open_, status="released"), (released, *changed))


def _completed(levels: Levels, open_: Reservation, fact: OrderCompleted) -> Outcome:
    after = sell(levels, open_.lines)
    changed = changes(levels, after, CHANNEL, f"order {fact.order} completed")
    return Outcome(after, replace(open_, status="sold"), tuple(changed))


def needs(recipes: Recipes, lines: Iterable[OrderLine]) -> tuple[StockLine, ...]:
    """What the lines use up: one stock line per SKU, sorted. An item without a recipe is its own SKU."""
    pieces: dict[str, int] = {}
    for line in lines:
        for part in recipes.get(line.item, (StockLine(line.item, 1),)):
            pieces[part.sku] = pieces.get(part.sku, 0) + part.quantity * line.quantity
    return tuple(StockLine(sku, quantity) for sku, quantity in sorted(pieces.items()))


def reserve(stock: Levels, recipes: Recipes, lines: Iterable[OrderLine]) -> Reserved | Rejected:
    """All lines or none. `stock` holds the SKUs the lines need; one that is missing does not exist."""
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
    """The lines of an open reservation are free again."""
    return {line.sku: _promised(stock[line.sku], -line.quantity) for line in lines}


def sell(stock: Levels, lines: Iterable[StockLine]) -> dict[str, Level]:
    """The lines of an open reservation have left the house."""
    return {line.sku: _sold(stock[line.sku], line.quantity) for line in lines}


def adjust(level: Level, change: int) -> Level:
    """`change` pieces more (or fewer) on hand. Raises NotEnough when promised pieces would be missing."""
    if level.available + change < 0:
        raise NotEnough(level)
    return replace(level, on_hand=level.on_hand + change, adjusted=level.adjusted + change)


def count(level: Level, on_hand: int) -> Level:
    """Somebody counted `on_hand` pieces on the shelf. Raises NotEnough when fewer than are promised."""
    return adjust(level, on_hand - level.on_hand)


def limit(level: Level, threshold: int | None, ceiling: int | None) -> Level:
    """New limits; None leaves one as it is. Raises CrossedLimits: both may be the same, but not change places."""
    threshold = level.threshold if threshold is None else threshold
    ceiling = level.ceiling if ceiling is None else ceiling
    if ceiling < threshold:
        raise CrossedLimits(threshold, ceiling)
    return replace(level, threshold=threshold, ceiling=ceiling)


def changes(before: Levels, after: Levels, channel: str, reason: str) -> list[StockLevelChanged]:
    """One event per SKU of `after` whose available, threshold or ceiling is not what it was."""
    return [
        StockLevelChanged(
            sku=sku,
            before=Availability(before[sku].available),
            after=Availability(level.available),
            threshold=level.threshold,
            ceiling=level.ceiling,
            channel=channel,
            reason=reason,
        )
        for sku, level in after.items()
        if _shown(level) != _shown(before[sku])
    ]


def _available(stock: Levels, sku: str) -> int:
    return stock[sku].available if sku in stock else 0


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
