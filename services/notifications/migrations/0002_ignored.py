"""Mails that nobody gets: whom they were for was forgotten before they were sent."""

from alembic import op

revision = "notifications_0002"
down_revision = "notifications_0001"

STATUSES = ("queued", "sent", "failed")


def upgrade() -> None:
    _allow((*STATUSES, "ignored"))


def downgrade() -> None:
    op.execute("UPDATE notifications SET status = 'failed' WHERE status = 'ignored'")
    _allow(STATUSES)


def _allow(statuses: tuple[str, ...]) -> None:
    """Let a mail have these statuses; what is there already is looked at by the next step, without a lock."""
    op.drop_constraint("notifications_status", "notifications")
    listed = ", ".join(f"'{status}'" for status in statuses)
    op.create_check_constraint(
        "notifications_status", "notifications", f"status IN ({listed})", postgresql_not_valid=True
    )
