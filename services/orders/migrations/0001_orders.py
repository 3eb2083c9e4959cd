"""Orders, their timelines, and the menu with what the shop sells."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "orders_0001"
down_revision = None
branch_labels = None
depends_on = None

# item, name, price in minor units of the shop's currency, baked
MENU = [
    ("margherita", "Margherita", 1200, True),
    ("marinara", "Marinara", 1000, True),
    ("pepperoni", "Pepperoni", 1400, True),
    ("funghi", "Funghi", 1350, True),
    ("diavola", "Diavola", 1450, True),
    ("hawaiian", "Hawaiian", 1400, True),
    ("vegetariana", "Vegetariana", 1350, True),
    ("quattro-formaggi", "Quattro formaggi", 1500, True),
    ("cola", "Cola", 300, False),
    ("lemonade", "Lemonade", 350, False),
    ("water", "Still water", 200, False),
    ("mcguffin", "The McGuffin", 500, False),
]


def upgrade() -> None:
    """Make the tables and fill the menu."""
    _create_orders()
    _create_timeline()
    menu = op.create_table(
        "menu",
        sa.Column("item", sa.Text(collation="C"), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("baked", sa.Boolean, nullable=False),
    )
    op.bulk_insert(menu, [dict(zip(("item", "name", "price", "baked"), row, strict=True)) for row in MENU])


def downgrade() -> None:
    """Drop everything, orders included."""
    for table in ("menu", "timeline", "orders"):
        op.drop_table(table)


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("customer_name", sa.Text, nullable=False),
        sa.Column("customer_email", sa.Text, nullable=False),
        sa.Column("fulfilment", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("facts", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stepped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delayed", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("orders_by_status", "orders", ["status", "id"])
    op.create_index("orders_by_customer", "orders", ["customer_id", "id"])


def _create_timeline() -> None:
    op.create_table(
        "timeline",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("status", sa.Text),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
