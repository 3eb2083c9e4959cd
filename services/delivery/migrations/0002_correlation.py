"""The correlation id that all events about the order have in common."""

import sqlalchemy as sa
from alembic import op

revision = "delivery_0002"
down_revision = "delivery_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("correlationid", sa.Text))


def downgrade() -> None:
    op.drop_column("deliveries", "correlationid")
