"""What an alert remembers of its mails."""

import sqlalchemy as sa
from alembic import op

revision = "alerts_0002"
down_revision = "alerts_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("raised_available", sa.BigInteger))
    op.add_column("alerts", sa.Column("quiet_since", sa.DateTime(timezone=True)))
    op.add_column("alerts", sa.Column("held", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    for column in ("held", "quiet_since", "raised_available"):
        op.drop_column("alerts", column)
