"""Payments, and the pace at which the provider is called."""

import sqlalchemy as sa
from alembic import op

revision = "payments_0001"
down_revision = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "payments",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("first_attempt_at", moment),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("changed_at", moment, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint(
            "status IN ('queued', 'charging', 'received', 'failed', 'withdrawn', 'voiding', 'voided', 'refunded')",
            name="payments_status",
        ),
    )
    pace = op.create_table(
        "pace",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("next_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("held_until", moment, nullable=False, server_default=sa.func.now()),
    )
    op.bulk_insert(pace, [{"provider": "provider"}])


def downgrade() -> None:
    op.drop_table("pace")
    op.drop_table("payments")
