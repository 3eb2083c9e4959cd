"""What is given back of payments that are kept."""

import sqlalchemy as sa
from alembic import op

revision = "payments_0002"
down_revision = "payments_0001"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "refunds",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("settled_at", moment),
        sa.CheckConstraint("status IN ('requested', 'paid', 'failed')", name="refunds_status"),
        sa.CheckConstraint("(settled_at IS NULL) = (status = 'requested')", name="refunds_settled"),
    )
    op.create_index("refunds_of_order", "refunds", ["order_id", "id"])
    # With a default: the release before fills it so, and never changes it.
    op.add_column("payments", sa.Column("given_back", sa.BigInteger, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    op.drop_column("payments", "given_back")
    op.drop_table("refunds")
