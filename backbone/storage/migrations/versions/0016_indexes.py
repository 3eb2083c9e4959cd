"""What is looked for among many rows is found by an index: jobs of a story, letters that count, and what is old.

Letters are counted from their index alone, also where there are hundreds of thousands. A type that is longer than a
type may be is left out of it: it would not fit.
"""

from alembic import op

revision = "backbone_0016"
down_revision = "backbone_0015"

SOUND = "length(type) <= 512"
COUNTED = '(consumer, topic, partition, type) INCLUDE ("offset", log, counts_in)'
ODD = f"(consumer, topic, partition) WHERE ({SOUND}) IS NOT TRUE"
INDEXES = {
    "jobs_story": "jobs (correlationid)",
    "dead_letters_parked": f"dead_letters {COUNTED} WHERE error IS NOT NULL AND {SOUND}",
    "dead_letters_held": f"dead_letters {COUNTED} WHERE error IS NULL AND {SOUND}",
    "dead_letters_odd": f"dead_letters {ODD}",
    "discarded_letters_counted": f"discarded_letters {COUNTED} WHERE {SOUND}",
    "discarded_letters_odd": f"discarded_letters {ODD}",
    "discarded_letters_discarded_at": "discarded_letters (discarded_at)",
    "edited_letters_edited_at": "edited_letters (edited_at)",
    "redrives_ended_at": "redrives (ended_at)",
    "acts_at": "acts (at)",
    "pauses_resumed_at": "pauses (resumed_at)",
}


def upgrade() -> None:
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {what}")


def downgrade() -> None:
    op.execute(f"DROP INDEX {', '.join(INDEXES)}")
