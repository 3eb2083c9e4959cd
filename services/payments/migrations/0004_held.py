"""Payments that are held back until what the order waits for is there."""

from alembic import op

revision = "payments_0004"
down_revision = "payments_0003"

STATUSES = ("queued", "charging", "received", "failed", "withdrawn", "voiding", "voided", "refunded")


def upgrade() -> None:
    _allow(("held", *STATUSES))


def downgrade() -> None:
    _allow(STATUSES)


def _allow(statuses: tuple[str, ...]) -> None:
    """Let a payment have these statuses; what is there already is looked at by the next step, without a lock."""
    op.drop_constraint("payments_status", "payments")
    listed = ", ".join(f"'{status}'" for status in statuses)
    op.create_check_constraint("payments_status", "payments", f"status IN ({listed})", postgresql_not_valid=True)
