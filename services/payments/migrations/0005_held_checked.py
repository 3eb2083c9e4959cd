"""All payments have a status that they may have, which is looked at while they go on being written."""

from alembic import op

revision = "payments_0005"
down_revision = "payments_0004"


def upgrade() -> None:
    op.execute("ALTER TABLE payments VALIDATE CONSTRAINT payments_status")


def downgrade() -> None:
    """Leave it checked."""
