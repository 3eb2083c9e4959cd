"""What of a difference was told, and what somebody has accepted. What is broken was told as it is."""

from alembic import op

revision = "ledger_0004"
down_revision = "ledger_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE alarms
          ADD COLUMN told jsonb NOT NULL DEFAULT '[]', ADD COLUMN told_at timestamptz,
          ADD COLUMN accepted jsonb NOT NULL DEFAULT '[]'
    """)
    op.execute("UPDATE alarms SET told = seen, told_at = broken_at WHERE broken_at IS NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE alarms DROP COLUMN told, DROP COLUMN told_at, DROP COLUMN accepted")
