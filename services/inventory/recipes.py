"""Decides what is told of a recipe that changes: what one piece of an item uses up."""

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from backbone.decision import Decision
from services.inventory.events import Recipe, RecipeChanged, StockLine

Parts = tuple[StockLine, ...]
"""What one piece of an item uses up."""
Recipes = Mapping[str, Parts]


def own(item: str) -> Parts:
    """Return what an item without a recipe uses up: one piece of the SKU of its name."""
    return (StockLine(item, 1),)


def change_recipe(item: str, before: Parts | None, after: Parts | None, by: str) -> Decision[Parts | None]:
    """Change what an item uses up; None: it has no recipe. One that stays as it is says nothing."""
    if after == before:
        return Decision(before)
    return Decision(after, (RecipeChanged(item=item, before=_recipe(before), after=_recipe(after), by=by),))


def _recipe(parts: Parts | None) -> Recipe | UnsetType:
    return UNSET if parts is None else Recipe(parts)
