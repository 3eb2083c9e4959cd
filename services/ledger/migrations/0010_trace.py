"""The trace that an event belongs to, and indexes by it and by source: so events are found by either."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0010"
down_revision = "ledger_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Those that are archived already have none: it stands in their headers alone."""
    op.add_column("events", sa.Column("traceid", sa.Text(collation="C")))
    op.create_index("events_trace", "events", ["traceid"], postgresql_where=sa.text("traceid IS NOT NULL"))
    op.create_index("events_source", "events", ["source", "time"])


def downgrade() -> None:
    op.drop_index("events_source", "events")
    op.drop_column("events", "traceid")
