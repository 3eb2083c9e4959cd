"""Stock, recipes and reservations in and out of the database: the SQL that commands and handlers share."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from backbone.database import Tx
from services.inventory import decisions
from services.inventory.decisions import Level, Levels, Recipes
from services.inventory.events import StockLine

# All that a batch will touch: what the items of new orders need, and what ending orders had reserved. An item
# with a recipe is also looked for under its own name, which costs nothing where no such SKU exists.
LOCK_BATCH = """
SELECT sku FROM stock WHERE sku = ANY(ARRAY(
    SELECT part ->> 'sku' FROM recipes, jsonb_array_elements(ingredients) part WHERE item = ANY($1::text[])
    UNION SELECT unnest($1::text[])
    UNION SELECT line ->> 'sku' FROM reservations, jsonb_array_elements(lines) line
          WHERE order_id = ANY($2::text[]) AND status = 'open'
)) ORDER BY sku FOR NO KEY UPDATE
"""

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

OPEN_RESERVATION = """
INSERT INTO reservations (order_id, status, lines, reserved_at) VALUES ($1, 'open', $2::text::jsonb, $3)
"""

CLOSE_RESERVATION = """
UPDATE reservations SET status = $2, closed_at = $3 WHERE order_id = $1 AND status = 'open' RETURNING lines::text
"""


async def lock_batch(tx: Tx, items: Iterable[str], orders: Iterable[str]) -> None:
    """Locks every stock row that orders for `items` or the end of `orders` can touch, sorted by SKU."""
    await tx.raw.execute(LOCK_BATCH, sorted(set(items)), sorted(set(orders)))


async def lock_levels(tx: Tx, skus: Iterable[str]) -> dict[str, Level]:
    """The levels of those of `skus` that exist, locked until the transaction ends."""
    rows = await tx.raw.fetch(LOCK_LEVELS, list(skus))
    return {row[0]: Level(*row[1:]) for row in rows}


async def change_levels(tx: Tx, before: Levels, after: Levels, channel: str, reason: str) -> None:
    """Replaces the levels of rows that lock_levels has locked, and publishes what can be seen of it."""
    rows = [
        (sku, new.on_hand, new.reserved, new.sold, new.adjusted, new.threshold, new.ceiling)
        for sku, new in after.items()
    ]
    await tx.raw.execute(WRITE_LEVELS, *map(list, zip(*rows, strict=True)))
    for change in decisions.changes(before, after, channel, reason):
        tx.publish(change, key=change.sku)


async def read_recipes(tx: Tx, items: Collection[str]) -> Recipes:
    rows = await tx.raw.fetch(READ_RECIPES, list(items))
    return {row["item"]: _decode(row["ingredients"]) for row in rows}


async def write_recipe(tx: Tx, item: str, ingredients: Sequence[StockLine]) -> None:
    await tx.raw.execute(WRITE_RECIPE, item, _encode(ingredients))


async def open_reservation(tx: Tx, order: str, lines: Sequence[StockLine]) -> None:
    await tx.raw.execute(OPEN_RESERVATION, order, _encode(lines), tx.now)


async def close_reservation(tx: Tx, order: str, status: str) -> tuple[StockLine, ...]:
    """The lines the order had reserved, now `released` or `sold`; empty when nothing is open."""
    lines = await tx.raw.fetchval(CLOSE_RESERVATION, order, status, tx.now)
    return () if lines is None else _decode(lines)


def _encode(lines: Sequence[StockLine]) -> str:
    return msgspec.json.encode(lines).decode()


def _decode(text: str) -> tuple[StockLine, ...]:
    return msgspec.json.decode(text, type=tuple[StockLine, ...])
