"""Delivery's table, and the few statements that read and write one delivery."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, MetaData, Table, Text, false

from backbone.storage.database import Tx
from services.delivery.decisions import Delivery, Status

metadata = MetaData()

# Order ids are UUIDv7: sorted as bytes they come in the order in which customers placed them.
deliveries = Table(
    "deliveries",
    metadata,
    Column("order_id", Text(collation="C"), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False, server_default="waiting"),
    Column("fulfilment", Text),
    Column("address", Text),
    Column("customer_name", Text),
    Column("needs_baking", Boolean, nullable=False, server_default=false()),
    Column("baked", Boolean, nullable=False, server_default=false()),
    Column("by", Text),
    Column("correlationid", Text),
    CheckConstraint(
        "status IN ('waiting', 'ready', 'dispatched', 'delivered', 'collected', 'cancelled')",
        name="deliveries_status",
    ),
    CheckConstraint("fulfilment IN ('delivery', 'collection')", name="deliveries_fulfilment"),
)
Index("deliveries_status_order", deliveries.c.status, deliveries.c.order_id)

# The first fact about an order may come from either topic, so two replicas may create the same row. ON
# CONFLICT DO UPDATE locks the rows that exist even where its WHERE is false; those are then not written.
_BEGIN_ALL = """
    INSERT INTO deliveries AS known (order_id, created_at)
    SELECT unnest($1::text[]), $2
    ON CONFLICT (order_id) DO UPDATE SET status = known.status WHERE false
"""
_LOCK_ALL = """
    SELECT order_id, created_at, status, fulfilment, address, customer_name, needs_baking, baked, "by",
        correlationid
    FROM deliveries WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE
"""
_SAVE_ALL = """
    UPDATE deliveries SET status = new.status, fulfilment = new.fulfilment, address = new.address,
        customer_name = new.customer_name, needs_baking = new.needs_baking, baked = new.baked, "by" = new."by",
        correlationid = new.correlationid
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::bool[], $8::text[],
            $9::text[])
        AS new(order_id, status, fulfilment, address, customer_name, needs_baking, baked, "by", correlationid)
    WHERE deliveries.order_id = new.order_id
"""


async def begin_all(tx: Tx, orders: Iterable[str]) -> dict[str, Delivery]:
    """The deliveries of these orders, locked in sorted order; those not yet known begin here, empty."""
    names = sorted(set(orders))
    await tx.raw.execute(_BEGIN_ALL, names, tx.now)
    return await lock_all(tx, names)


async def lock_all(tx: Tx, orders: Sequence[str]) -> dict[str, Delivery]:
    """The deliveries of these orders, those that exist, locked in sorted order until the transaction ends."""
    rows = await tx.raw.fetch(_LOCK_ALL, orders)
    return {row["order_id"]: _delivery(**row) for row in rows}


async def save_all(tx: Tx, deliveries: Iterable[Delivery]) -> None:
    """Write locked deliveries as they are from now on."""
    rows = [
        (
            each.order,
            each.status,
            each.fulfilment,
            each.address,
            each.customer_name,
            each.needs_baking,
            each.baked,
            each.by,
            each.correlationid,
        )
        for each in deliveries
    ]
    if rows:
        await tx.raw.execute(_SAVE_ALL, *map(list, zip(*rows, strict=True)))


def _delivery(order_id: str, status: str, **known: Any) -> Delivery:
    return Delivery(order=order_id, status=Status(status), **known)
