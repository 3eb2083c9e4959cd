"""The table of reminders."""

from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

# One row for each cart: what is in it as far as is known, and when somebody last put something in.
reminders = Table(
    "reminders",
    metadata,
    Column("cart", Text(collation="C"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("customer", JSONB),
    Column("last_item_at", DateTime(timezone=True)),
    Column("heard_at", DateTime(timezone=True)),
    Column("reminded_at", DateTime(timezone=True)),
)
