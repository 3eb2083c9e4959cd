"""The alerts."""

import sqlalchemy as sa
from alembic import op

revision = "alerts_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("sku", sa.Text(collation="C"), primary_key=True),
        sa.Column("kind", sa.Text(collation="C"), primary_key=True),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.Column("threshold", sa.BigInteger, nullable=False),
        sa.Column("ceiling", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("kind IN ('low', 'out', 'over')", name="alerts_kind"),
        sa.CheckConstraint("active = (cleared_at IS NULL)", name="alerts_cleared"),
    )
    op.create_index("alerts_active", "alerts", ["sku", "kind"], postgresql_where=sa.text("active"))


def downgrade() -> None:
    op.drop_table("alerts")
