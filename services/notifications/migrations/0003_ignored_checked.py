"""All mails have a status that they may have, which is looked at while they go on being written."""

from alembic import op

revision = "notifications_0003"
down_revision = "notifications_0002"


def upgrade() -> None:
    op.execute("ALTER TABLE notifications VALIDATE CONSTRAINT notifications_status")


def downgrade() -> None:
    """Leave it checked."""
