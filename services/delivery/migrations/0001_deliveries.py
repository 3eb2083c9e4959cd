"""The deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "delivery_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("fulfilment", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("customer_name", sa.Text),
        sa.Column("needs_baking", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("baked", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("by", sa.Text),
        sa.CheckConstraint(
            "status IN ('waiting', 'ready', 'dispatched', 'delivered', 'collected', 'cancelled')",
            name="deliveries_status",
        ),
        sa.CheckConstraint("fulfilment IN ('delivery', 'collection')", name="deliveries_fulfilment"),
    )
    op.create_index("deliveries_status_order", "deliveries", ["status", "order_id"])


def downgrade() -> None:
    op.drop_table("deliveries")
