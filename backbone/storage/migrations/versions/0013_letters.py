"""Dead letters tell more of their error, may be edited copies, and are redriven by plans that leave reports.

Rows of code that took no fingerprints have none; they are grouped by their error. `edit` names the original that a copy
stands for. A redrive has one row for each key that it takes, and one for what became of each letter.
"""

from alembic import op

revision = "backbone_0013"
down_revision = "backbone_0012"

MORE = (
    "fingerprint text, ADD COLUMN frames jsonb, ADD COLUMN failing jsonb, ADD COLUMN failed_at timestamptz, "
    "ADD COLUMN attempts int NOT NULL DEFAULT 0, ADD COLUMN edit bigint"
)
LESS = (
    "fingerprint, DROP COLUMN frames, DROP COLUMN failing, DROP COLUMN failed_at, DROP COLUMN attempts, "
    "DROP COLUMN edit"
)
TABLES = (
    f"ALTER TABLE dead_letters ADD COLUMN {MORE}",
    f"ALTER TABLE discarded_letters ADD COLUMN {MORE}",
    """
    CREATE TABLE edited_letters (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      letter bigint NOT NULL, consumer text NOT NULL, topic text NOT NULL, partition int NOT NULL,
      "offset" bigint NOT NULL, log uuid, record_key bytea, value bytea, diff text NOT NULL,
      edited_at timestamptz NOT NULL DEFAULT now(), edited_by text NOT NULL, reason text NOT NULL
    )
    """,
    'CREATE INDEX edited_letters_place ON edited_letters (consumer, topic, partition, "offset")',
    """
    CREATE TABLE redrives (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      consumer text NOT NULL, letter bigint, key text, fingerprint text, dry_run boolean NOT NULL,
      rate double precision, on_failure text NOT NULL, state text NOT NULL DEFAULT 'running', total int NOT NULL,
      changes jsonb, steps int NOT NULL DEFAULT 0, began_by text NOT NULL,
      began_at timestamptz NOT NULL DEFAULT now(), next_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz
    )
    """,
    """
    CREATE TABLE redrive_keys (
      redrive bigint NOT NULL REFERENCES redrives ON DELETE CASCADE, topic text NOT NULL, key text NOT NULL,
      closed boolean NOT NULL DEFAULT false, PRIMARY KEY (redrive, topic, key)
    )
    """,
    """
    CREATE TABLE redrive_outcomes (
      redrive bigint NOT NULL REFERENCES redrives ON DELETE CASCADE, letter bigint NOT NULL, topic text NOT NULL,
      key text NOT NULL, type text, outcome text NOT NULL, error text, at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (redrive, letter)
    )
    """,
    "CREATE INDEX redrive_outcomes_letter ON redrive_outcomes (letter)",
    "CREATE INDEX redrive_outcomes_key ON redrive_outcomes (topic, key, letter)",
    """
    CREATE TABLE acts (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at timestamptz NOT NULL DEFAULT now(), actor text NOT NULL, act text NOT NULL, about jsonb NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    for table in ("acts", "redrive_outcomes", "redrive_keys", "redrives", "edited_letters"):
        op.execute(f"DROP TABLE {table}")
    for table in ("discarded_letters", "dead_letters"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {LESS}")
