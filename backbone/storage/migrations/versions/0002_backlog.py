"""Indexes for a look at what is in hand, what fails and what was given up."""

from alembic import op

revision = "backbone_0002"
down_revision = "backbone_0001"

# Letters before jobs, as a redrive locks them.
INDEXES = (
    "CREATE INDEX dead_letters_blamed ON dead_letters (id) WHERE error IS NOT NULL",
    "CREATE INDEX jobs_in_hand ON jobs (kind, due) WHERE lease IS NOT NULL",
    "CREATE INDEX jobs_failing ON jobs (kind, first_attempt_at) WHERE error IS NOT NULL AND parked_at IS NULL",
    "CREATE INDEX jobs_parked ON jobs (kind, parked_at) WHERE parked_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in INDEXES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX jobs_in_hand, jobs_failing, jobs_parked, dead_letters_blamed")
