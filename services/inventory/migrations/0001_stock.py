"""Stock, recipes and reservations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "inventory_0001"
down_revision = None
branch_labels = None
depends_on = None

COUNTS = ("on_hand", "reserved", "sold", "initial", "threshold", "ceiling")


def upgrade() -> None:
    op.create_table(
        "stock",
        sa.Column("sku", sa.Text(collation="C"), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS[:4]),
        sa.Column("adjusted", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS[4:]),
        *(sa.CheckConstraint(f"{name} >= 0", name=f"stock_{name}_not_negative") for name in COUNTS),
        sa.CheckConstraint("reserved <= on_hand", name="stock_available_not_negative"),
        sa.CheckConstraint("on_hand + sold = initial + adjusted", name="stock_adds_up"),
        # No index covers a count, so an update with room on its page touches no index at all.
        postgresql_with={"fillfactor": 80},
    )
    op.create_table(
        "recipes",
        sa.Column("item", sa.Text(collation="C"), primary_key=True),
        sa.Column("ingredients", JSONB, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("status IN ('open', 'released', 'sold')", name="reservations_status"),
        sa.CheckConstraint("(closed_at IS NULL) = (status = 'open')", name="reservations_closed"),
    )


def downgrade() -> None:
    op.drop_table("reservations")
    op.drop_table("recipes")
    op.drop_table("stock")
