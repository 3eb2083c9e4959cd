"""Stock, recipes and reservations in the database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, column, select

from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows
from services.inventory.decisions import Reservation
from services.inventory.events import StockLine
from services.inventory.levels import Level, Levels, Standing
from services.inventory.recipes import Parts, Recipes
from services.inventory.shortages import Crossing, Use
from services.inventory.tables import backorders, reservations, stock

_available = stock.c.on_hand - stock.c.reserved
_STANDING = {
    Standing.OUT: _available <= 0,
    Standing.LOW: (_available > 0) & (_available <= stock.c.threshold),
    Standing.OVER: _available > stock.c.ceiling,
}


class _Level(NamedTuple):
    sku: str
    level: Level


class _Reservation(NamedTuple):
    order: str
    reservation: Reservation


class Backorder(NamedTuple):
    """Holds an order that waits, what it needs, and the correlation id of its events."""

    order_id: str
    lines: tuple[StockLine, ...]
    correlationid: str


# All SKUs that a change of some can touch: those of the orders themselves, and those of whoever waits for any of them.
_FIND_TOUCHED = Statement("""
    WITH RECURSIVE touched(sku) AS (
      (
        SELECT unnest(:skus::text[]) COLLATE "C"
        UNION SELECT line ->> 'sku' COLLATE "C" FROM reservations, jsonb_array_elements(lines) AS line
        WHERE order_id = ANY(:orders::text[])
        UNION SELECT unnest(skus) FROM backorders WHERE order_id = ANY(:orders::text[])
      )
      UNION SELECT unnest(waiting.skus) FROM touched JOIN backorders AS waiting ON waiting.skus @> ARRAY[touched.sku]
    )
    SELECT sku FROM touched
""")
_FIND_WAITING = Statement("""
    SELECT order_id, lines::text, correlationid FROM backorders
    WHERE skus && :skus::text[] OR order_id = ANY(:orders::text[])
""")
_ADD_BACKORDERS = Statement(
    "INSERT INTO backorders (:new.columns, skus, since) SELECT :new.*,"
    " ARRAY(SELECT line ->> 'sku' FROM jsonb_array_elements(new.lines) AS line), :now::timestamptz FROM :new",
    new=rows(backorders, without=("skus", "since"), lines=lambda new: _encode(new.lines)),
)
_DROP_BACKORDERS = Statement("DELETE FROM backorders WHERE order_id = ANY(:orders::text[])")
_LOCK_LEVELS = Statement(
    "SELECT :s.* FROM stock AS s WHERE sku = ANY(:skus::text[]) ORDER BY sku FOR NO KEY UPDATE",
    s=stock,
)
_SAVE_LEVELS = Statement(
    "UPDATE stock SET :new.changes FROM :new WHERE stock.sku = new.sku",
    new=rows(stock, without=("initial",), within="level", sku="sku"),
)
# One that is written by another command at the same moment, or is kept already, is left alone.
_ADD_LEVEL = Statement(
    "INSERT INTO stock (:new.columns) SELECT :new.* FROM :new ON CONFLICT (sku) DO NOTHING",
    new=rows(stock, within="level", sku="sku"),
)
_LOCK_RESERVATIONS = Statement("""
    SELECT order_id, lines::text, status FROM reservations
    WHERE order_id = ANY(:orders::text[]) ORDER BY order_id FOR UPDATE
""")
# An order that is placed and ends within one batch is new here, and closed already. What is known here was locked, and
# keeps its lines or its status; a row that differs in both was written by another replica since we looked.
_SAVE_RESERVATIONS = Statement(
    """
    INSERT INTO reservations (:new.columns, reserved_at, closed_at)
    SELECT :new.*, :now::timestamptz, CASE WHEN status <> 'open' THEN :now::timestamptz END FROM :new ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE SET :new.excluded, closed_at = excluded.closed_at
    WHERE reservations.lines = excluded.lines OR reservations.status = excluded.status
    """,
    new=rows(
        reservations,
        without=("reserved_at", "closed_at"),
        within="reservation",
        order_id="order",
        lines=lambda new: _encode(new.reservation.lines),
    ),
)
_FIND_RECIPES = Statement("SELECT item, ingredients::text FROM recipes WHERE item = ANY(:items::text[])")
_SAVE_RECIPE = Statement("""
    INSERT INTO recipes (item, ingredients) VALUES (:item, :ingredients::text::jsonb)
    ON CONFLICT (item) DO UPDATE SET ingredients = excluded.ingredients
""")

# A recipe that there is not yet has no row to lock. Two numbers keep clear of the backbone's own locks.
_LOCK_RECIPE = Statement("SELECT pg_advisory_xact_lock(hashtext('recipes'), hashtext(:item))")
_FIND_USERS = Statement("""
    SELECT item FROM recipes WHERE ingredients @> jsonb_build_array(jsonb_build_object('sku', :sku::text)) ORDER BY item
""")
# An item without a recipe uses up one piece of the SKU of its name.
_FIND_USES = Statement(
    """
    SELECT used.item, used.sku, used.quantity FROM :moved JOIN (
      SELECT item, part.sku, part.quantity
      FROM recipes, jsonb_to_recordset(ingredients) AS part(sku text, quantity bigint)
      UNION ALL
      SELECT sku, sku, 1 FROM stock WHERE NOT EXISTS (SELECT FROM recipes WHERE item = stock.sku)
    ) AS used ON used.sku = moved.sku AND (moved.before < used.quantity) <> (moved.after < used.quantity)
    ORDER BY used.item, used.sku
    """,
    moved=rows(stock.c.sku, column("before", BigInteger), column("after", BigInteger)),
)
_DROP_RECIPE = Statement("DELETE FROM recipes WHERE item = :item")


async def find_touched(tx: Tx, skus: Collection[str], orders: Collection[str]) -> set[str]:
    """Return all SKUs that a change of these, or of these orders, can touch: also what those need who wait for them."""
    found = await _FIND_TOUCHED.fetch(tx.raw, skus=list(skus), orders=list(orders))
    return {row["sku"] for row in found}


async def find_waiting(tx: Tx, skus: Collection[str], orders: Collection[str]) -> list[Backorder]:
    """Return these orders where they wait, and all that wait for any of these SKUs, whose levels are locked."""
    found = await _FIND_WAITING.fetch(tx.raw, skus=list(skus), orders=list(orders))
    return [Backorder(row["order_id"], _decode(row["lines"]), row["correlationid"]) for row in found]


async def add_backorders(tx: Tx, new: Collection[Backorder]) -> None:
    """Write orders that begin to wait."""
    await _ADD_BACKORDERS.execute(tx.raw, new=new, now=tx.now)


async def drop_backorders(tx: Tx, orders: Collection[str]) -> None:
    """Delete orders that wait no more."""
    if orders:
        await _DROP_BACKORDERS.execute(tx.raw, orders=list(orders))


async def lock_levels(tx: Tx, skus: Collection[str]) -> dict[str, Level]:
    """Return the levels of these SKUs, locked in sorted order until the transaction ends.

    SKUs that do not exist are left out, those that are retired are not.
    """
    found = await _LOCK_LEVELS.fetch(tx.raw, skus=list(skus)) if skus else []
    return {row["sku"]: _level(**row) for row in found}


async def save_levels(tx: Tx, before: Levels, after: Levels) -> None:
    """Write those levels that are not what they were. `lock_levels` has locked their rows."""
    if changed := [_Level(sku, new) for sku, new in after.items() if new != before[sku]]:
        await _SAVE_LEVELS.execute(tx.raw, new=changed)


async def add_level(tx: Tx, sku: str, level: Level) -> bool:
    """Write a SKU that there never was; return whether there never was."""
    return bool(await _ADD_LEVEL.execute(tx.raw, new=[_Level(sku, level)]))


async def find_level(database: Database, sku: str) -> Level | None:
    """Return the level of one SKU, also of a retired one, or None."""
    async with database.reading() as connection:
        row = (await connection.execute(select(stock).where(stock.c.sku == sku))).mappings().one_or_none()
    return _level(**row) if row else None


async def list_levels(database: Database, page: Page, standing: Standing | None) -> list[tuple[str, Level]]:
    """Return the SKUs of a page that are kept, and their levels, by SKU; those that stand so, if it is said how."""
    query = select(stock).where(~stock.c.retired).order_by(stock.c.sku).limit(page.limit + 1)
    if standing is not None:
        query = query.where(_STANDING[standing])
    if page.after is not None:
        query = query.where(stock.c.sku > page.after)
    async with database.reading() as connection:
        return [(row["sku"], _level(**row)) for row in (await connection.execute(query)).mappings()]


async def lock_reservations(tx: Tx, orders: Collection[str]) -> dict[str, Reservation]:
    """Return what these orders were promised, locked in sorted order until the transaction ends.

    Closed reservations are returned as well as open ones.
    """
    found = await _LOCK_RESERVATIONS.fetch(tx.raw, orders=list(orders))
    return {row["order_id"]: Reservation(_decode(row["lines"]), row["status"]) for row in found}


async def save_reservations(tx: Tx, before: Mapping[str, Reservation], after: Mapping[str, Reservation]) -> None:
    """Write those reservations that are new or not what they were.

    Raises SerializationError, which passes: what seemed new is not, and has to be decided again.
    """
    if changed := [_Reservation(order, new) for order, new in after.items() if new != before.get(order)]:
        await _SAVE_RESERVATIONS.execute_exactly(tx.raw, len(changed), new=changed, now=tx.now)


async def find_recipes(tx: Tx, items: Collection[str]) -> Recipes:
    """Return the recipes of these items, by item; items without one are left out."""
    found = await _FIND_RECIPES.fetch(tx.raw, items=list(items)) if items else []
    return {row["item"]: _decode(row["ingredients"]) for row in found}


async def find_recipe(session: Session, item: str) -> Parts | None:
    """Return the recipe of one item, or None when it has none."""
    found = await _FIND_RECIPES.fetch(session, items=[item])
    return _decode(found[0]["ingredients"]) if found else None


async def lock_recipe(tx: Tx, item: str) -> Parts | None:
    """Return the recipe of one item, or None; nobody else changes it until the transaction ends."""
    await _LOCK_RECIPE.fetch(tx.raw, item=item)
    return await find_recipe(tx.raw, item)


async def save_recipe(tx: Tx, item: str, ingredients: Sequence[StockLine]) -> None:
    """Write the recipe of an item, new or not."""
    await _SAVE_RECIPE.execute(tx.raw, item=item, ingredients=_encode(ingredients))


async def drop_recipe(tx: Tx, item: str) -> None:
    """Delete the recipe of an item."""
    await _DROP_RECIPE.execute(tx.raw, item=item)


async def find_uses(tx: Tx, moved: Iterable[Crossing]) -> list[Use]:
    """Return what items use of these SKUs, where it lies between what was available and what is."""
    return [Use(**row) for row in await _FIND_USES.fetch(tx.raw, moved=moved)]


async def find_users(tx: Tx, sku: str) -> list[str]:
    """Return the items whose recipes use a SKU; none is added while the SKU's row is locked."""
    return [row["item"] for row in await _FIND_USERS.fetch(tx.raw, sku=sku)]


def _level(sku: str, **numbers: Any) -> Level:  # noqa: ARG001  the key of what is made
    return Level(**numbers)


def _encode(lines: Sequence[StockLine]) -> str:
    return msgspec.json.encode(lines).decode()


def _decode(text: str) -> tuple[StockLine, ...]:
    return msgspec.json.decode(text, type=tuple[StockLine, ...])
