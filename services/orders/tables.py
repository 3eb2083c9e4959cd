"""The tables of orders: orders, their timelines and refunds, and the menu with what it is short of."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from backbone.storage.tables import APPEND_ONLY, FOR_CUSTOMERS, own

metadata = MetaData()

# Ids are UUIDv7 in lower case: compared byte by byte, their order is the order of placement.
ID = Text(collation="C")

# Where an order can be late: all but the ends, and where it waits for stock.
LATE_IN = ("placed", "confirmed", "preparing", "baked", "ready", "dispatched", "cancelling")

OF_ITS_ORDER = "(SELECT o.customer_id FROM orders AS o WHERE o.id = order_id)"

orders = Table(
    "orders",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("customer_name", Text, nullable=False),
    Column("customer_email", Text, nullable=False),
    Column("fulfilment", Text, nullable=False),
    Column("address", Text),
    Column("lines", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("facts", ARRAY(Text), nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("stepped_at", DateTime(timezone=True), nullable=False),
    Column("delayed", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("correlationid", Text),
    Index("orders_by_status", "status", "id"),
    Index("orders_by_customer", "customer_id", "id"),
    Index("orders_open", "status", "stepped_at", "id", postgresql_where=text(f"status IN {LATE_IN}")),
    info=own("customer_id", "UPDATE"),
)

# No foreign key: a fact about an unknown order is kept too, without a status.
timeline = Table(
    "timeline",
    metadata,
    Column("order_id", ID, primary_key=True),
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("status", Text),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False),
    Column("text", Text, nullable=False),
    info=APPEND_ONLY | own(OF_ITS_ORDER, "INSERT"),
)

# Written while their order is locked.
refunds = Table(
    "refunds",
    metadata,
    Column("order_id", ID, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Column("failure", Text),
    info=own(OF_ITS_ORDER),
)

menu = Table(
    "menu",
    metadata,
    Column("item", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("baked", Boolean, nullable=False),
    Column("description", Text),
    Column("category", Text),
    Column("hidden", Boolean, nullable=False, server_default=false()),
    Column("sold_out", Boolean, nullable=False, server_default=false()),
    Column("back_orderable", Boolean, nullable=False, server_default=false()),
    Column("retired", Boolean, nullable=False, server_default=false()),
    info=FOR_CUSTOMERS,
)

# What inventory tells: of which items one piece cannot be made, for want of which SKU. No foreign key: inventory knows
# items that the menu does not.
shortages = Table(
    "shortages",
    metadata,
    Column("item", ID, primary_key=True),
    Column("sku", ID, primary_key=True),
    info=FOR_CUSTOMERS,
)
