"""Deliveries in the database."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import select

from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement, rows
from services.delivery.decisions import Delivery, Status
from services.delivery.tables import deliveries

# The first fact about an order may come from either topic, so two replicas may create the same row. ON
# CONFLICT DO UPDATE locks the rows that exist even where its WHERE is false; those are then not written.
_BEGIN_ALL = Statement("""
    INSERT INTO deliveries AS known (order_id, created_at) SELECT unnest(:orders::text[]), :now
    ON CONFLICT (order_id) DO UPDATE SET status = known.status WHERE false
""")
_LOCK_ALL = Statement(
    "SELECT :d.* FROM deliveries AS d WHERE order_id = ANY(:orders::text[]) ORDER BY order_id FOR UPDATE",
    d=deliveries,
)
_SAVE_ALL = Statement(
    "UPDATE deliveries SET :new.changes FROM :new WHERE deliveries.order_id = new.order_id",
    new=rows(deliveries, without=("created_at",), order_id="order"),
)


async def begin_all(tx: Tx, orders: Iterable[str]) -> dict[str, Delivery]:
    """Return the deliveries of these orders, locked in sorted order until the transaction ends.

    Those not yet known begin here, empty.
    """
    names = sorted(set(orders))
    await _BEGIN_ALL.execute(tx.raw, orders=names, now=tx.now)
    return await lock_all(tx, names)


async def lock_all(tx: Tx, orders: Sequence[str]) -> dict[str, Delivery]:
    """Return the deliveries of these orders, locked in sorted order until the transaction ends.

    Those that do not exist are left out.
    """
    found = await _LOCK_ALL.fetch(tx.raw, orders=orders)
    return {row["order_id"]: _delivery(**row) for row in found}


async def save_all(tx: Tx, changed: Collection[Delivery]) -> None:
    """Write locked deliveries as they are from now on."""
    if changed:
        await _SAVE_ALL.execute(tx.raw, new=changed)


async def list_page(database: Database, page: Page, statuses: Collection[Status]) -> list[Delivery]:
    """Return a page of deliveries, the oldest order first; of these statuses, if any are given."""
    d = deliveries.c
    query = select(deliveries).order_by(d.order_id).limit(page.limit + 1)
    query = query.where(d.fulfilment.is_not(None))  # else begun by the oven, and not yet known as an order
    if statuses:
        query = query.where(d.status.in_(statuses))
    if page.after:
        query = query.where(d.order_id > page.after)
    async with database.reading() as connection:
        return [_delivery(**row) for row in (await connection.execute(query)).mappings()]


def _delivery(order_id: str, status: str, **known: Any) -> Delivery:
    return Delivery(order=order_id, status=Status(status), **known)
