"""When a payment was received, and the indexes by which a day's takings are added up."""

import sqlalchemy as sa
from alembic import op

revision = "payments_0003"
down_revision = "payments_0002"

# What the release before writes has no received_at: its row says it in another way.
RECEIVED_AT = (
    "coalesce(received_at, CASE status WHEN 'received' THEN changed_at WHEN 'refunded' THEN first_attempt_at END)"
)


def upgrade() -> None:
    op.add_column("payments", sa.Column("received_at", sa.DateTime(timezone=True)))
    op.create_index("payments_received", "payments", [sa.text(f"({RECEIVED_AT})")])
    op.create_index("payments_refunded", "payments", ["changed_at"], postgresql_where=sa.text("status = 'refunded'"))
    op.create_index("refunds_paid", "refunds", ["settled_at"], postgresql_where=sa.text("status = 'paid'"))


def downgrade() -> None:
    op.drop_index("refunds_paid", "refunds")
    op.drop_index("payments_refunded", "payments")
    op.drop_index("payments_received", "payments")
    op.drop_column("payments", "received_at")
