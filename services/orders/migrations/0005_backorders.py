"""Which items customers wait for, and which are out of stock."""

import sqlalchemy as sa
from alembic import op

revision = "orders_0005"
down_revision = "orders_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("menu", sa.Column("back_orderable", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "shortages",
        sa.Column("item", sa.Text(collation="C"), primary_key=True),
        sa.Column("sku", sa.Text(collation="C"), primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("shortages")
    op.drop_column("menu", "back_orderable")
