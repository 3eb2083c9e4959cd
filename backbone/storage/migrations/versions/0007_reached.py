"""A place that goes back on purpose keeps how far its log had been read: these tables are not older than their topics.

NULL where a place never went back: `next_offset` tells it then.
"""

from alembic import op

revision = "backbone_0007"
down_revision = "backbone_0006"


def upgrade() -> None:
    op.execute("ALTER TABLE consumer_offsets ADD COLUMN reached_offset bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE consumer_offsets DROP COLUMN reached_offset")
