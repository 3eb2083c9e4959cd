"""Inventory's HTTP API: stock and recipes."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from msgspec import structs

from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.described import CREATED
from backbone.http.permissions import may
from backbone.http.problems import invalid
from backbone.storage.database import Tx
from backbone.values.fields import Name
from services.inventory import decisions, levels, moving, recipes, shortages, store
from services.inventory.bodies import Adjustment, KnownRecipe, Limits, NewSku, Recipe, StockLevel, StockPage
from services.inventory.events import StockLine
from services.inventory.levels import STAFF, CrossedLimits, Kept, Level, Levels, NotEnough, Standing, StillNeeded
from services.inventory.moving import Locked, Move
from services.inventory.recipes import Parts, own

router = APIRouter()

PROBLEMS = {
    "No such SKU": "Nothing of this name is kept in stock; GET /stock lists what is.",
    "No such recipe": "The item has no recipe: it uses up one piece of itself.",
    "SKU exists": "Stock is kept under this name already; PATCH sets its limits, an adjustment its count.",
    "SKU still needed": "Some of it is on hand, or a recipe uses it; `detail` says what to do first.",
    "Not enough stock": "The adjustment would take pieces promised to orders; `available` says how many are free.",
}

Sku = Annotated[Name, Path()]
Item = Annotated[Name, Path()]


@router.get("/stock", response_model=StockPage)
@may("stock.read")
async def list_stock(
    db: Db,
    page: Paging,
    standing: Annotated[
        Standing | None,
        Query(description="Only what has nothing available, is at or below its threshold, or above its ceiling."),
    ] = None,
) -> Any:
    """Lists the stock of all SKUs, by SKU, or of those alone of which there is too little or too much."""
    found = await store.list_levels(db, page, standing)
    return page.answer([_shown(sku, level) for sku, level in found], key=lambda level: level.sku)


@router.get("/stock/{sku}", response_model=StockLevel)
@may("stock.read")
async def get_stock(sku: Sku, db: Db) -> StockLevel:
    """Shows the stock of one SKU."""
    level = await store.find_level(db, sku)
    if level is None or level.retired:
        raise _unknown_sku(sku)
    return _shown(sku, level)


@router.post("/stock", status_code=201, response_model=StockLevel, responses=CREATED)
@may("stock.write")
async def add_sku(body: NewSku, command: Command) -> Response:
    """Begins to keep a SKU. The name of one that was retired may be added again."""

    async def effect(tx: Tx) -> Answer:
        before = (await store.lock_levels(tx, [body.sku])).get(body.sku)
        after = _begun(before, body)
        if before:
            await store.save_levels(tx, {body.sku: before}, {body.sku: after})
        elif not await store.add_level(tx, body.sku, after):
            raise _kept(body.sku)
        tx.apply(levels.begins(body.sku, after, f"added by {command.actor}"), key=body.sku)
        await moving.tell_shortages(tx, {body.sku: before} if before else {}, {body.sku: after})
        return Answer(_shown(body.sku, after), 201, {"Location": f"/stock/{body.sku}"})

    return await command.run(effect)


@router.delete("/stock/{sku}", status_code=204)
@may("stock.write")
async def retire_sku(sku: Sku, command: Command) -> Response:
    """Stops keeping a SKU of which nothing is left and which no recipe uses."""

    async def effect(tx: Tx) -> Answer:
        locked = await _locked(tx, sku)
        before = locked.stock.levels[sku]
        try:
            users, waiting = await store.find_users(tx, sku), len(locked.stock.waiting)
            decision = levels.retire(sku, before, users, command.actor, waiting)
        except StillNeeded as needed:
            raise Problem(409, "SKU still needed", str(needed)) from None
        await store.save_levels(tx, {sku: before}, {sku: decision.state})
        tx.apply(decision, key=sku)
        return Answer(None, 204)

    return await command.run(effect)


@router.patch("/stock/{sku}", response_model=StockLevel)
@may("stock.write")
async def set_limits(sku: Sku, body: Limits, command: Command) -> Any:
    """Sets when the shop is to be warned about a SKU."""

    async def effect(tx: Tx) -> Answer:
        locked = await _locked(tx, sku)
        after = _limited(locked.stock.levels[sku], body)
        return await _changed(tx, locked, sku, after, STAFF, "limits set")

    return await command.run(effect)


@router.post("/stock/{sku}/adjustments", response_model=StockLevel)
@may("stock.write")
async def adjust_stock(sku: Sku, body: Adjustment, command: Command) -> Any:
    """Changes stock beside orders: a supplier's delivery, a sale over the counter, a count."""

    async def effect(tx: Tx) -> Answer:
        locked = await _locked(tx, sku)
        after = _adjusted(locked.stock.levels[sku], body)
        return await _changed(tx, locked, sku, after, body.channel, body.reason)

    return await command.run(effect)


@router.get("/recipes/{item}", response_model=KnownRecipe)
@may("stock.read")
async def get_recipe(item: Item, db: Db) -> Any:
    """Shows what one piece of an item uses up.

    An item without a recipe uses up one piece of itself, and is a 404 here.
    """
    found = await store.find_recipe(db, item)
    if found is None:
        raise _no_recipe(item)
    return {"item": item, "ingredients": [structs.asdict(each) for each in found]}


@router.put("/recipes/{item}", response_model=KnownRecipe)
@may("stock.write")
async def put_recipe(item: Item, body: Recipe, command: Command) -> Any:
    """Sets the recipe of an item.

    Orders placed from now on use it; what is reserved already stays as it is.
    """

    async def effect(tx: Tx) -> Answer:
        before = await store.lock_recipe(tx, item)
        lines = tuple(StockLine(ingredient.sku, ingredient.quantity) for ingredient in body.ingredients)
        known = await store.lock_levels(tx, {line.sku for line in (*(before or own(item)), *lines)})
        for place, ingredient in enumerate(body.ingredients):
            if ingredient.sku not in known or known[ingredient.sku].retired:
                raise _unknown_ingredient(place, ingredient.sku)
        await store.save_recipe(tx, item, lines)
        _change_recipe(tx, item, before, lines, known, command.actor)
        return Answer(KnownRecipe(item=item, ingredients=body.ingredients))

    return await command.run(effect)


@router.delete("/recipes/{item}", status_code=204)
@may("stock.write")
async def drop_recipe(item: Item, command: Command) -> Response:
    """Retires the recipe of an item, which uses up one piece of itself from now on.

    What is reserved already stays as it is.
    """

    async def effect(tx: Tx) -> Answer:
        before = await store.lock_recipe(tx, item)
        if before is None:
            raise _no_recipe(item)
        known = await store.lock_levels(tx, {line.sku for line in (*before, *own(item))})
        await store.drop_recipe(tx, item)
        _change_recipe(tx, item, before, None, known, command.actor)
        return Answer(None, 204)

    return await command.run(effect)


async def _locked(tx: Tx, sku: str) -> Locked:
    locked = await moving.lock(tx, [sku])
    level = locked.stock.levels.get(sku)
    if level is None or level.retired:
        raise _unknown_sku(sku)
    return locked


async def _changed(tx: Tx, locked: Locked, sku: str, level: Level, channel: str, reason: str) -> Answer:
    """Write a level, and serve at once who waited for it: what is answered is what they leave."""
    after, outcome = decisions.restock(locked.stock, sku, level, channel, reason)
    await moving.save(tx, locked, after, [Move(sku, outcome, tx.cause)])
    return Answer(_shown(sku, after.levels[sku]))


def _change_recipe(tx: Tx, item: str, before: Parts | None, after: Parts | None, known: Levels, by: str) -> None:
    """Tell of a changed recipe, and of what its item is short of by it."""
    tx.apply(recipes.change_recipe(item, before, after, by), key=item)
    for each in shortages.with_recipe(item, before or own(item), after or own(item), known):
        tx.publish(each, key=each.sku)


def _begun(before: Level | None, body: NewSku) -> Level:
    try:
        return levels.add(before, body.on_hand, body.threshold, body.ceiling)
    except Kept:
        raise _kept(body.sku) from None
    except CrossedLimits as error:
        raise invalid([{"field": "ceiling", "message": str(error)}]) from error


def _limited(level: Level, body: Limits) -> Level:
    try:
        return levels.limit(level, body.threshold, body.ceiling)
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
    counts = {name: count for name, count in structs.asdict(level).items() if name in StockLevel.model_fields}
    return StockLevel(sku=sku, available=level.available, **counts)


def _unknown_sku(sku: str) -> Problem:
    detail = f"No stock is kept under {sku!r}: GET /stock lists the SKUs, POST /stock adds one."
    return Problem(404, "No such SKU", detail)


def _kept(sku: str) -> Problem:
    return Problem(409, "SKU exists", f"Stock is kept under {sku!r} already.", field="sku")


def _no_recipe(item: str) -> Problem:
    return Problem(404, "No such recipe", f"{item!r} has no recipe: it uses up one piece of itself.")


def _unknown_ingredient(place: int, sku: str) -> Problem:
    detail = f"No stock is kept under {sku!r}: GET /stock lists the SKUs."
    return Problem(422, "No such SKU", detail, field=f"ingredients.{place}.sku")
