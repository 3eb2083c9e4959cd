"""Loyalty's tables."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, MetaData, Table, Text

from backbone.storage.tables import APPEND_ONLY, own

metadata = MetaData()

accounts = Table(
    "accounts",
    metadata,
    Column("customer_id", Text(collation="C"), primary_key=True),
    Column("points", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("points >= 0", name="accounts_points"),
    info=own("customer_id"),
)

# The history of an account in the order in which it was credited.
entries = Table(
    "entries",
    metadata,
    Column("customer_id", Text(collation="C"), primary_key=True),
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("order_id", Text, nullable=False),
    # Points for the trouble with the order; null: they were earned by it.
    Column("case_id", Text),
    Column("points", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("earned_at", DateTime(timezone=True), nullable=False),
    info=APPEND_ONLY | own("customer_id"),
)
