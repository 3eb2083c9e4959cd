"""Describes the table of carts."""

from sqlalchemy import Column, DateTime, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from backbone.storage.confined import ASKING
from backbone.storage.tables import own

metadata = MetaData()

# A cart is one row: whatever happens to it is one lock and one write.
carts = Table(
    "carts",
    metadata,
    Column("id", Text(collation="C"), primary_key=True),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("lines", JSONB, nullable=False, server_default="[]"),
    Column("customer", JSONB),
    Column("checkout", JSONB),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("carts_of_customer", text("(customer ->> 'id')"), "id"),
    # One that is nobody's yet is for whoever knows its id.
    info=own(f"coalesce(customer ->> 'id', {ASKING})", "UPDATE"),
)
