"""The archive of events by day, its first partitions, and the job that makes further ones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "ledger_0001"
down_revision = None
branch_labels = None
depends_on = "backbone_0001"  # for its jobs

# The days that topics still hold, and the coming ones.
PARTITIONS = """
DO $$
DECLARE day date;
BEGIN
  FOR i IN -8..7 LOOP
    day := (now() AT TIME ZONE 'UTC')::date + i;
    EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                   'events_' || to_char(day, 'YYYYMMDD'), day, day + 1);
  END LOOP;
END $$
"""
JOB = """
INSERT INTO jobs (kind, key, data, due, correlationid) VALUES ('partition', 'partition', '{}', now(), 'ledger_0001')
"""


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("topic", sa.Text(collation="C"), nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True)),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("record_key", sa.LargeBinary, nullable=False),
        sa.Column("headers", postgresql.JSON, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("correlationid", sa.Text(collation="C"), nullable=False),
        sa.Column("causationid", sa.Text(collation="C")),
        sa.Column("occurrenceid", sa.Text(collation="C"), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", "source", "day"),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index("events_time", "events", ["time", "id"])
    op.create_index("events_type", "events", ["type", "time"])
    op.create_index("events_key", "events", ["key", "time"])
    op.create_index("events_correlation", "events", ["correlationid"])
    op.create_index("events_place", "events", ["topic", "partition", "offset"])
    op.execute("CREATE TABLE events_rest PARTITION OF events DEFAULT")
    op.execute(PARTITIONS)
    op.execute(JOB)


def downgrade() -> None:
    op.drop_table("events")
    op.execute("DELETE FROM jobs WHERE kind = 'partition'")
