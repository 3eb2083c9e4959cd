"""What the staff had given back of orders' payments."""

import sqlalchemy as sa
from alembic import op

revision = "orders_0004"
down_revision = "orders_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refunds",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.Column("failure", sa.Text),
        sa.CheckConstraint("status IN ('requested', 'paid', 'failed')", name="refunds_status"),
        sa.CheckConstraint("(settled_at IS NULL) = (status = 'requested')", name="refunds_settled"),
        sa.CheckConstraint("amount > 0", name="refunds_amount"),
    )


def downgrade() -> None:
    op.drop_table("refunds")
