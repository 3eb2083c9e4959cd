"""Inventory's tables. SKUs, items and orders compare byte by byte (COLLATE "C"), as Python sorts them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()
Name = sa.Text(collation="C")

stock = sa.Table(
    "stock",
    metadata,
    sa.Column("sku", Name, primary_key=True),
    sa.Column("on_hand", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("sold", sa.BigInteger, nullable=False),
    sa.Column("initial", sa.BigInteger, nullable=False),
    sa.Column("adjusted", sa.BigInteger, nullable=False),
    sa.Column("threshold", sa.BigInteger, nullable=False),
    sa.Column("ceiling", sa.BigInteger, nullable=False),
    # Its row stays: what it sold and adjusted is counted on when its name is added again.
    sa.Column("retired", sa.Boolean, nullable=False, server_default=sa.false()),
)

# A recipe and a reservation are written and read whole, hence one row each: [{"sku": ..., "quantity": ...}].
recipes = sa.Table(
    "recipes",
    metadata,
    sa.Column("item", Name, primary_key=True),
    sa.Column("ingredients", JSONB, nullable=False),
)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("order_id", Name, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("lines", JSONB, nullable=False),
    sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("closed_at", sa.DateTime(timezone=True)),
)

# Orders that wait for stock. Written while the levels of all their SKUs are locked. What they need is written twice: as
# they need it, and the names alone to be found by.
backorders = sa.Table(
    "backorders",
    metadata,
    sa.Column("order_id", Name, primary_key=True),
    sa.Column("lines", JSONB, nullable=False),
    sa.Column("skus", sa.ARRAY(Name), nullable=False),
    sa.Column("correlationid", sa.Text, nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    sa.Index("backorders_by_sku", "skus", postgresql_using="gin"),
)
