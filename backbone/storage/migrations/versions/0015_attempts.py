"""The attempts are kept that an event or a job took, where it did not pass at the first, with the last errors.

In the inbox NULL stands for the first attempt, and for what was handled before this release; such a row takes no more
room than before. A job that ended after several attempts leaves a row.
"""

from alembic import op

revision = "backbone_0015"
down_revision = "backbone_0014"

TABLES = (
    "ALTER TABLE inbox ADD COLUMN attempts int, ADD COLUMN errors jsonb",
    """
    CREATE TABLE retried_jobs (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      kind text NOT NULL, key text NOT NULL, attempts int NOT NULL, error text, first_attempt_at timestamptz,
      ended_at timestamptz NOT NULL DEFAULT now(), correlationid text NOT NULL, causationid text
    )
    """,
    "CREATE INDEX retried_jobs_story ON retried_jobs (correlationid)",
    "CREATE INDEX retried_jobs_ended_at ON retried_jobs USING brin (ended_at)",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE retried_jobs")
    op.execute("ALTER TABLE inbox DROP COLUMN attempts, DROP COLUMN errors")
