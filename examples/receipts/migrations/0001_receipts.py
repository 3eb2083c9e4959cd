"""The receipts that were sent, one for an order."""

import sqlalchemy as sa
from alembic import op

revision = "receipts_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "receipts",
        sa.Column("order_id", sa.Text(collation="C"), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("receipts")
