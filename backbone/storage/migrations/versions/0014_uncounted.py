"""What counts is told apart: letters that were purged, or that a replay parked, and records that nobody counted.

`discarded` counts discarded letters that are purged. `counts_in` is the log in which a letter counts that a replay has
parked under one of its own. `moved_to` is where somebody moved a place who counts: a replica of an older release moves
the place alone. NULL until this release has moved it.
"""

from alembic import op

revision = "backbone_0014"
down_revision = "backbone_0013"

LETTERS = ("dead_letters", "discarded_letters")


def upgrade() -> None:
    op.execute("ALTER TABLE handled_counts ADD COLUMN discarded bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE consumer_offsets ADD COLUMN moved_to bigint")
    for table in LETTERS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN counts_in uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE handled_counts DROP COLUMN discarded")
    op.execute("ALTER TABLE consumer_offsets DROP COLUMN moved_to")
    for table in LETTERS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN counts_in")
