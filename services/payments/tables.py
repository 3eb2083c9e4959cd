"""The tables of payments."""

from sqlalchemy import BigInteger, Column, DateTime, Index, MetaData, Table, Text, func, text

metadata = MetaData()

# What the release before writes has no received_at: its row says it in another way. So does that of a charge which was
# only found out when it was given back.
# Its lines are as Postgres shows them: Alembic compares the index with them.
RECEIVED_AT = """coalesce(received_at,
CASE status
    WHEN 'received' THEN changed_at
    WHEN 'refunded' THEN first_attempt_at
    ELSE NULL
END)"""

payments = Table(
    "payments",
    metadata,
    Column("order_id", Text(collation="C"), primary_key=True),
    Column("customer", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    # What refunds have given back, or are about to.
    Column("given_back", BigInteger, nullable=False, server_default=text("0")),
    Column("first_attempt_at", DateTime(timezone=True)),
    Column("received_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("payments_received", text(f"({RECEIVED_AT})")),
    # A payment that is refunded as a whole never changes again.
    Index("payments_refunded", "changed_at", postgresql_where=text("status = 'refunded'")),
)

# Written under the lock of their order's payment.
refunds = Table(
    "refunds",
    metadata,
    Column("id", Text(collation="C"), primary_key=True),
    Column("order_id", Text(collation="C"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Index("refunds_of_order", "order_id", "id"),
    Index("refunds_paid", "settled_at", postgresql_where=text("status = 'paid'")),
)

# One row, which all replicas lock in turn: when the next call may be made, and until when the provider wants none.
pace = Table(
    "pace",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("held_until", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
