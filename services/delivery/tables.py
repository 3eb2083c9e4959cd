"""Delivery's table."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, MetaData, Table, Text, false

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
