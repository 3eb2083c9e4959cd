"""The tickets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "kitchen_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text),
        sa.CheckConstraint("status IN ('waiting', 'prepared', 'baked', 'cancelled')", name="tickets_status"),
    )
    op.create_index("tickets_status_order", "tickets", ["status", "order_id"])


def downgrade() -> None:
    op.drop_table("tickets")
