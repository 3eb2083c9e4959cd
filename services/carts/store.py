"""Keeps carts in the database."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import select

from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows
from services.carts.decisions import Cart
from services.carts.tables import carts

# ON CONFLICT DO UPDATE locks the rows that exist even where its WHERE is false; those are then not written.
_BEGIN_ALL = Statement("""
    INSERT INTO carts AS known (id, changed_at) SELECT unnest(:ids::text[]), :now
    ON CONFLICT (id) DO UPDATE SET version = known.version WHERE false
""")
_FIND_ALL = Statement("SELECT :c.* FROM carts AS c WHERE id = ANY(:ids::text[])", c=carts)
_LOCK_ALL = Statement("SELECT :c.* FROM carts AS c WHERE id = ANY(:ids::text[]) ORDER BY id FOR UPDATE", c=carts)


def _json(part: str) -> Callable[[Cart], str | None]:
    """Make what encodes a part of a cart as JSON; a part that is missing is null to the database."""

    def encoded(cart: Cart) -> str | None:
        value = getattr(cart, part)
        return None if value is None else msgspec.json.encode(value).decode()

    return encoded


_SAVE_ALL = Statement(
    "UPDATE carts AS c SET :new.changes FROM :new WHERE c.id = new.id",
    new=rows(carts, lines=_json("lines"), customer=_json("customer"), checkout=_json("checkout")),
)


async def begin_all(tx: Tx, ids: Iterable[str]) -> dict[str, Cart]:
    """Return these carts, locked in sorted order until the transaction ends; one not yet known begins here, empty."""
    names = sorted(set(ids))
    await _BEGIN_ALL.execute(tx.raw, ids=names, now=tx.now)
    return {row["id"]: _cart(row) for row in await _FIND_ALL.fetch(tx.raw, ids=names)}


async def lock_all(tx: Tx, ids: Iterable[str]) -> dict[str, Cart]:
    """Return those of the carts that exist, locked in sorted order until the transaction ends."""
    return {row["id"]: _cart(row) for row in await _LOCK_ALL.fetch(tx.raw, ids=list(ids))}


async def save_all(tx: Tx, changed: Collection[Cart]) -> None:
    """Write locked carts as they are now."""
    if changed:
        await _SAVE_ALL.execute(tx.raw, new=changed)


async def find(session: Session, cart: str) -> Cart | None:
    """Return a cart as it stands; None where there is none."""
    found = await _FIND_ALL.fetch(session, ids=[cart])
    return _cart(found[0]) if found else None


async def list_page(database: Database, page: Page, customer: str | None) -> list[Cart]:
    """Return the carts of a page, the greatest id first; of one customer, if one is given."""
    query = select(carts).order_by(carts.c.id.desc()).limit(page.limit + 1)
    if customer is not None:
        query = query.where(carts.c.customer["id"].astext == customer)
    if page.after:
        query = query.where(carts.c.id < page.after)
    async with database.reading() as connection:
        return [_cart(row) for row in (await connection.execute(query)).mappings()]


def _cart(row: Any) -> Cart:
    # SQLAlchemy names columns by a kind of text of its own, which msgspec takes for none.
    return msgspec.convert({str(name): value for name, value in row.items()}, Cart)
