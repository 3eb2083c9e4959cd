"""Inventory's HTTP API: stock and recipes."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.problems import invalid
from backbone.storage.database import Tx
from backbone.values.fields import WHOLE, Line, Name
from services.inventory import decisions, store
from services.inventory.decisions import CrossedLimits, Level, NotEnough
from services.inventory.events import StockLine

router = APIRouter()

PROBLEMS = {
    "No such SKU": "Nothing of this name is kept in stock; GET /stock lists what is.",
    "No such recipe": "The item has no recipe: it uses up one piece of itself.",
    "Not enough stock": "The adjustment would take pieces promised to orders; `available` says how many are free.",
}

MOST = 1_000_000_000

Sku = Annotated[Name, Path()]
Item = Annotated[Name, Path()]
Count = Annotated[int, Field(ge=0, le=MOST), WHOLE]


class Body(BaseModel):
    """Describes what a client sends: nothing is converted, nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StockLevel(BaseModel):
    """Shows the stock of one SKU. `available` is what a new order can have: on_hand - reserved."""

    sku: str
    on_hand: int
    reserved: int
    available: int
    sold: int
    threshold: int
    ceiling: int


class StockPage(BaseModel):
    items: list[StockLevel]
    next: str | None


def _some_of(how: str, *names: str) -> Callable[[dict[str, Any]], None]:
    """Make a function that adds to a model's JSON Schema what its validator asks for.

    That is one, or any, of these members, given as a number.
    """

    def add(schema: dict[str, Any]) -> None:
        schema[how] = [{"required": [name], "properties": {name: {"type": "integer"}}} for name in names]

    return add


class Limits(Body):
    """Tells when to warn the shop: at or below `threshold`, and above `ceiling`.

    `ceiling` is never under `threshold`. What is left out stays.
    """

    model_config = ConfigDict(json_schema_extra=_some_of("anyOf", "threshold", "ceiling"))

    threshold: Count | None = None
    ceiling: Count | None = Field(None, validate_default=True)

    @field_validator("ceiling")
    @classmethod
    def _one_at_least(cls, ceiling: int | None, info: ValidationInfo) -> int | None:
        if ceiling is None and info.data.get("threshold", 0) is None:
            raise ValueError("give threshold, ceiling or both")
        return ceiling


class Adjustment(Body):
    """Tells of pieces that came or went without an order.

    `change` is by how many, `set` is what was counted instead.
    """

    model_config = ConfigDict(json_schema_extra=_some_of("oneOf", "change", "set"))

    change: Annotated[int, Field(ge=-MOST, le=MOST), WHOLE] | None = None
    set: Count | None = Field(None, validate_default=True)
    channel: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40, examples=["shop-till"])
    reason: Line = Field(max_length=200, examples=["sold over the counter"])

    @field_validator("set")
    @classmethod
    def _one_of_both(cls, on_hand: int | None, info: ValidationInfo) -> int | None:
        if "change" in info.data and (on_hand is None) == (info.data["change"] is None):
            raise ValueError("give exactly one of change and set")
        return on_hand

    def apply(self, level: Level) -> Level:
        """Return the level after the adjustment.

        Raises NotEnough when promised pieces would be missing.
        """
        if self.change is not None:
            return decisions.adjust(level, self.change)
        assert self.set is not None  # noqa: S101  the validator has seen to it
        return decisions.count(level, self.set)


class Ingredient(Body):
    sku: Name = Field(examples=["dough"])
    quantity: Annotated[int, Field(ge=1, le=1000, examples=[1]), WHOLE]


class Recipe(Body):
    """Lists what one piece of an item uses up."""

    ingredients: Annotated[list[Ingredient], Field(min_length=1, max_length=20)]

    @field_validator("ingredients")
    @classmethod
    def _each_once(cls, ingredients: list[Ingredient]) -> list[Ingredient]:
        skus = [ingredient.sku for ingredient in ingredients]
        if len(set(skus)) < len(skus):
            raise ValueError("name each sku once")
        return ingredients


class KnownRecipe(Recipe):
    item: str


@router.get("/stock", response_model=StockPage)
async def list_stock(db: Db, page: Paging) -> Any:
    """Lists the stock of all SKUs, by SKU."""
    found = await store.list_levels(db, page)
    return page.answer([_shown(sku, level) for sku, level in found], key=lambda level: level.sku)


@router.get("/stock/{sku}", response_model=StockLevel)
async def get_stock(sku: Sku, db: Db) -> StockLevel:
    """Shows the stock of one SKU."""
    level = await store.find_level(db, sku)
    if level is None:
        raise _unknown_sku(sku)
    return _shown(sku, level)


@router.patch("/stock/{sku}", response_model=StockLevel)
async def set_limits(sku: Sku, body: Limits, command: Command) -> Any:
    """Sets when the shop is to be warned about a SKU."""

    async def effect(tx: Tx) -> Answer:
        before = await _locked(tx, sku)
        after = _limited(before, body)
        return await _changed(tx, sku, before, after, "staff", "limits set")

    return await command.run(effect)


@router.post("/stock/{sku}/adjustments", response_model=StockLevel)
async def adjust_stock(sku: Sku, body: Adjustment, command: Command) -> Any:
    """Changes stock beside orders: a supplier's delivery, a sale over the counter, a count."""

    async def effect(tx: Tx) -> Answer:
        before = await _locked(tx, sku)
        return await _changed(tx, sku, before, _adjusted(before, body), body.channel, body.reason)

    return await command.run(effect)


@router.get("/recipes/{item}", response_model=KnownRecipe)
async def get_recipe(item: Item, db: Db) -> Any:
    """Shows what one piece of an item uses up.

    An item without a recipe uses up one piece of itself, and is a 404 here.
    """
    found = await store.find_recipe(db, item)
    if found is None:
        raise Problem(404, "No such recipe", f"{item!r} has no recipe: it uses up one piece of itself.")
    return {"item": item, "ingredients": [structs.asdict(each) for each in found]}


@router.put("/recipes/{item}", response_model=KnownRecipe)
async def put_recipe(item: Item, body: Recipe, command: Command) -> Any:
    """Sets the recipe of an item.

    Orders placed from now on use it; what is reserved already stays as it is.
    """

    async def effect(tx: Tx) -> Answer:
        known = await store.lock_levels(tx, [ingredient.sku for ingredient in body.ingredients])
        for place, ingredient in enumerate(body.ingredients):
            if ingredient.sku not in known:
                raise _unknown_ingredient(place, ingredient.sku)
        lines = [StockLine(ingredient.sku, ingredient.quantity) for ingredient in body.ingredients]
        await store.save_recipe(tx, item, lines)
        return Answer(KnownRecipe(item=item, ingredients=body.ingredients))

    return await command.run(effect)


async def _locked(tx: Tx, sku: str) -> Level:
    levels = await store.lock_levels(tx, [sku])
    if sku not in levels:
        raise _unknown_sku(sku)
    return levels[sku]


async def _changed(tx: Tx, sku: str, before: Level, after: Level, channel: str, reason: str) -> Answer:
    await store.save_levels(tx, {sku: before}, {sku: after})
    tx.apply(decisions.changes({sku: before}, {sku: after}, channel, reason)[sku], key=sku)
    return Answer(_shown(sku, after))


def _limited(level: Level, body: Limits) -> Level:
    try:
        return decisions.limit(level, body.threshold, body.ceiling)
    except CrossedLimits as error:
        field = "threshold" if body.ceiling is None else "ceiling"
        raise invalid([{"field": field, "message": str(error)}]) from error


def _adjusted(level: Level, body: Adjustment) -> Level:
    try:
        return body.apply(level)
    except NotEnough as error:
        raise Problem(
            409,
            "Not enough stock",
            f"Of {level.on_hand} on hand {level.reserved} are reserved for orders:"
            f" take away no more than the {level.available} available.",
            available=level.available,
        ) from error


def _shown(sku: str, level: Level) -> StockLevel:
    return StockLevel(sku=sku, available=level.available, **structs.asdict(level))


def _unknown_sku(sku: str) -> Problem:
    detail = f"No stock is kept under {sku!r}: GET /stock lists the SKUs, a migration of inventory adds new ones."
    return Problem(404, "No such SKU", detail)


def _unknown_ingredient(place: int, sku: str) -> Problem:
    detail = f"No stock is kept under {sku!r}: GET /stock lists the SKUs."
    return Problem(422, "No such SKU", detail, field=f"ingredients.{place}.sku")
