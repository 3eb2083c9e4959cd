"""Decides what is told of items that cannot be made any more for want of a SKU, or can be again.

A level is told with every order, and few who show a menu want to hear that; these events are told only when a recipe's
need is crossed.
"""

from collections.abc import Iterable
from typing import NamedTuple

from services.inventory.events import ItemShortageChanged, StockLine
from services.inventory.levels import Levels, available

MOST_IN_A_RECIPE = 1000
"""The most pieces of a SKU that one piece of an item uses up."""


class Crossing(NamedTuple):
    """Tells how many pieces of a SKU were available, and are; few enough that some recipe's need can lie between."""

    sku: str
    before: int
    after: int


class Use(NamedTuple):
    """Tells how many pieces of a SKU one piece of an item uses up."""

    item: str
    sku: str
    quantity: int


def crossings(before: Levels, after: Levels) -> list[Crossing]:
    """Return what changed of levels that a recipe may find short. Nothing was short of a SKU that is new."""
    was = {sku: available(before, sku) if sku in before else MOST_IN_A_RECIPE for sku in after}
    moved = [Crossing(sku, was[sku], available(after, sku)) for sku in after]
    return [each for each in moved if each.before != each.after and min(each.before, each.after) < MOST_IN_A_RECIPE]


def crossed(crossing: Crossing, use: Use) -> ItemShortageChanged | None:
    """Tell that an item has become short of a SKU, or is so no more; None when neither."""
    was, is_short = crossing.before < use.quantity, crossing.after < use.quantity
    return None if was == is_short else ItemShortageChanged(item=use.item, sku=use.sku, short=is_short)


def with_recipe(
    item: str, before: Iterable[StockLine], after: Iterable[StockLine], levels: Levels
) -> list[ItemShortageChanged]:
    """Tell what an item is short of, or no more, because its recipe changed."""
    was, now = _short(before, levels), _short(after, levels)
    told = [(sku, True) for sku in now - was] + [(sku, False) for sku in was - now]
    return [ItemShortageChanged(item=item, sku=sku, short=short) for sku, short in sorted(told)]


def _short(recipe: Iterable[StockLine], levels: Levels) -> set[str]:
    """Return what a recipe is short of. A SKU that was never kept counts as enough, also when it is added with some."""
    return {line.sku for line in recipe if line.sku in levels and available(levels, line.sku) < line.quantity}
