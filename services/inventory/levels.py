"""Decides what can become of the level of a SKU, and what is told of it.

Every function takes whole levels and returns whole new ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from backbone.decision import Decision, Refusal
from services.inventory.events import Availability, SkuRetired, StockLevelChanged, StockLine

STAFF = "staff"
"""The channel of what the staff decides about stock."""


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


class Standing(StrEnum):
    """Names how there is too little of a SKU or too much: nothing, at most its threshold, or more than its ceiling."""

    OUT = "out"
    LOW = "low"
    OVER = "over"


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


def available(stock: Levels, sku: str) -> int:
    """Return how many pieces of a SKU can be promised; none of one that is not kept."""
    return stock[sku].available if sku in stock and not stock[sku].retired else 0


def promise(stock: Levels, lines: Iterable[StockLine]) -> dict[str, Level]:
    """Return the levels once these lines are reserved; there is enough of each."""
    return {line.sku: _promised(stock[line.sku], line.quantity) for line in lines}


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


def retire(sku: str, level: Level, needed_by: Sequence[str], by: str, waiting: int = 0) -> Decision[Level]:
    """Stop keeping a SKU; `needed_by` are the items whose recipes use it, `waiting` orders wait. Raises StillNeeded."""
    if waiting:
        raise StillNeeded(f"{waiting} orders wait for it: deliver it, or cancel them.")
    if level.reserved:
        raise StillNeeded(f"{level.on_hand} are on hand, {level.reserved} of them reserved for orders.")
    if level.on_hand:
        raise StillNeeded(f"{level.on_hand} are on hand: take them away by an adjustment first.")
    if needed_by:
        raise StillNeeded(f"The recipe of {', '.join(needed_by[:10])} needs it: change that first.")
    return Decision(replace(level, retired=True), (SkuRetired(sku=sku, by=by),))


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
