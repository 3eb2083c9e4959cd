"""The case for which a customer got points."""

import sqlalchemy as sa
from alembic import op

revision = "loyalty_0002"
down_revision = "loyalty_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("entries", sa.Column("case_id", sa.Text))


def downgrade() -> None:
    op.drop_column("entries", "case_id")
