"""The kitchen's table."""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

# Order ids are UUIDv7: sorted as bytes they come in the order in which customers placed them.
tickets = Table(
    "tickets",
    metadata,
    Column("order_id", Text(collation="C"), primary_key=True),
    Column("status", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("by", Text),
    Column("correlationid", Text),
    CheckConstraint("status IN ('waiting', 'prepared', 'baked', 'cancelled')", name="tickets_status"),
)
Index("tickets_status_order", tickets.c.status, tickets.c.order_id)
