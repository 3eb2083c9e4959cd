"""An index in the order in which Kafka took the events: so they are fed to a service again."""

from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE INDEX events_came ON events (coalesce(recorded_at, time), topic, partition, "offset", id)
    """)


def downgrade() -> None:
    op.drop_index("events_came")
