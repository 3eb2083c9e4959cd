"""The correlation id that all events about the order have in common."""

import sqlalchemy as sa
from alembic import op

revision = "orders_0002"
down_revision = "orders_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("correlationid", sa.Text))


def downgrade() -> None:
    op.drop_column("orders", "correlationid")
