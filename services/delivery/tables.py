"""Delivery's table, and the few statements that read and write one delivery."""

from collections.abc import Iterable

import asyncpg
from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, MetaData, Table, Text, false

from backbone.database import Tx
from backbone.errors import SlicelineError
from services.delivery.decisions import Decision, Delivery, Status

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
    CheckConstraint(
        "status IN ('waiting', 'ready', 'dispatched', 'delivered', 'collected', 'cancelled')",
        name="deliveries_status",
    ),
    CheckConstraint("fulfilment IN ('delivery', 'collection')", name="deliveries_fulfilment"),
)
Index("deliveries_status_order", deliveries.c.status, deliveries.c.order_id)

_COLUMNS = 'created_at, status, fulfilment, address, customer_name, needs_baking, baked, "by"'

# The first fact about an order may come from either topic, so two replicas may create the same row. ON
# CONFLICT DO UPDATE locks the rows that exist even where its WHERE is false; those are then not written.
_LOCK_ALL = """
    INSERT INTO deliveries AS known (order_id, created_at)
    SELECT unnest($1::text[]), $2
    ON CONFLICT (order_id) DO UPDATE SET status = known.status WHERE false
"""
_LOCK = f"SELECT {_COLUMNS} FROM deliveries WHERE order_id = $1 FOR UPDATE"  # noqa: S608 - constants only
_SAVE = """
    UPDATE deliveries SET status = $2, fulfilment = $3, address = $4, customer_name = $5,
        needs_baking = $6, baked = $7, "by" = $8
    WHERE order_id = $1
"""


class NotLocked(SlicelineError):
    """A handler met a delivery that its batch did not lock first."""

    def __init__(self, order: str) -> None:
        super().__init__(f"the delivery of order {order} was not locked before its event was handled")


async def lock_all(tx: Tx, orders: Iterable[str]) -> None:
    """Lock the deliveries of these orders in sorted order; those not yet known begin here, empty."""
    await tx.raw.execute(_LOCK_ALL, sorted(set(orders)), tx.now)


async def lock(tx: Tx, order: str) -> Delivery | None:
    """The delivery of this order, locked until the transaction ends."""
    row: asyncpg.Record | None = await tx.raw.fetchrow(_LOCK, order)
    if row is None:
        return None
    known = dict(row)
    return Delivery(order=order, status=Status(known.pop("status")), **known)


async def known(tx: Tx, order: str) -> Delivery:
    """The delivery of an order that `lock_all` has locked, or begun."""
    found = await lock(tx, order)
    if found is None:
        raise NotLocked(order)
    return found


async def apply(tx: Tx, decision: Decision) -> None:
    """Write the locked delivery as decided, and publish what is told about it."""
    new = decision.delivery
    await tx.raw.execute(
        _SAVE,
        new.order,
        new.status,
        new.fulfilment,
        new.address,
        new.customer_name,
        new.needs_baking,
        new.baked,
        new.by,
    )
    for event in decision.events:
        tx.publish(event, key=new.order)
