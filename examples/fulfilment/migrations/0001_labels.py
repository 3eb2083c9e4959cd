"""The labels, one for an order."""

import sqlalchemy as sa
from alembic import op

revision = "fulfilment_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "labels",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("labels")
