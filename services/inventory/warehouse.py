"""Stock, recipes and reservations in and out of the database: the SQL that commands and handlers share."""

from collections.abc import Collection, Mapping, Sequence

import asyncpg
import msgspec

from backbone.storage.database import Tx
from services.inventory.decisions import Level, Levels, Recipes, Reservation
from services.inventory.events import StockLine

LOCK_LEVELS = """
SELECT sku, on_hand, reserved, sold, initial, adjusted, threshold, ceiling
FROM stock WHERE sku = ANY($1::text[]) ORDER BY sku FOR NO KEY UPDATE
"""

WRITE_LEVELS = """
UPDATE stock SET on_hand = new.on_hand, reserved = new.reserved, sold = new.sold, adjusted = new.adjusted,
                 threshold = new.threshold, ceiling = new.ceiling
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
     AS new (sku, on_hand, reserved, sold, adjusted, threshold, ceiling)
WHERE stock.sku = new.sku
"""

READ_RECIPES = "SELECT item, ingredients::text FROM recipes WHERE item = ANY($1::text[])"

WRITE_RECIPE = """
INSERT INTO recipes (item, ingredients) VALUES ($1, $2::text::jsonb)
ON CONFLICT (item) DO UPDATE SET ingredients = excluded.ingredients
"""

LOCK_RESERVATIONS = """
SELECT order_id, lines::text, status FROM reservations WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE
"""

# An order that is placed and ends within one batch is new here, and closed already. What is known here was locked, and
# keeps its lines or its status; a row that differs in both was written by another replica since we looked.
WRITE_RESERVATIONS = """
INSERT INTO reservations (order_id, status, lines, reserved_at, closed_at)
SELECT order_id, status, lines::jsonb, $4::timestamptz, CASE WHEN status <> 'open' THEN $4::timestamptz END
FROM unnest($1::text[], $2::text[], $3::text[]) AS new (order_id, status, lines) ORDER BY order_id
ON CONFLICT (order_id) DO UPDATE
SET status = excluded.status, lines = excluded.lines, closed_at = excluded.closed_at
WHERE reservations.lines = excluded.lines OR reservations.status = excluded.status
"""


async def lock_levels(tx: Tx, skus: Collection[str]) -> dict[str, Level]:
    """The levels of those of `skus` that exist, locked until the transaction ends."""
    rows = await tx.raw.fetch(LOCK_LEVELS, list(skus)) if skus else []
    return {row[0]: Level(*row[1:]) for row in rows}


async def save_levels(tx: Tx, before: Levels, after: Levels) -> None:
    """Writes those levels that are not what they were. `lock_levels` has locked their rows."""
    rows = [
        (sku, new.on_hand, new.reserved, new.sold, new.adjusted, new.threshold, new.ceiling)
        for sku, new in after.items()
        if new != before[sku]
    ]
    if rows:
        await tx.raw.execute(WRITE_LEVELS, *map(list, zip(*rows, strict=True)))


async def lock_reservations(tx: Tx, orders: Collection[str]) -> dict[str, Reservation]:
    """What these orders were promised, open or not, locked until the transaction ends."""
    rows = await tx.raw.fetch(LOCK_RESERVATIONS, list(orders))
    return {row["order_id"]: Reservation(_decode(row["lines"]), row["status"]) for row in rows}


async def save_reservations(tx: Tx, before: Mapping[str, Reservation], after: Mapping[str, Reservation]) -> None:
    """Writes those reservations that are new or not what they were.

    Raises SerializationError, which passes: what seemed new is not, and has to be decided again.
    """
    rows = [(order, new.status, _encode(new.lines)) for order, new in after.items() if new != before.get(order)]
    if rows:
        written = await tx.raw.execute(WRITE_RESERVATIONS, *map(list, zip(*rows, strict=True)), tx.now)
        if written != f"INSERT 0 {len(rows)}":
            raise asyncpg.SerializationError("Another replica has heard of one of these orders at the same moment.")


async def read_recipes(tx: Tx, items: Collection[str]) -> Recipes:
    rows = await tx.raw.fetch(READ_RECIPES, list(items)) if items else []
    return {row["item"]: _decode(row["ingredients"]) for row in rows}


async def write_recipe(tx: Tx, item: str, ingredients: Sequence[StockLine]) -> None:
    await tx.raw.execute(WRITE_RECIPE, item, _encode(ingredients))


def _encode(lines: Sequence[StockLine]) -> str:
    return msgspec.json.encode(lines).decode()


def _decode(text: str) -> tuple[StockLine, ...]:
    return msgspec.json.decode(text, type=tuple[StockLine, ...])
