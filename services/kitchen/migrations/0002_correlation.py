"""The correlation id that all events about the ticket have in common."""

import sqlalchemy as sa
from alembic import op

revision = "kitchen_0002"
down_revision = "kitchen_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tickets", sa.Column("correlationid", sa.Text))


def downgrade() -> None:
    op.drop_column("tickets", "correlationid")
