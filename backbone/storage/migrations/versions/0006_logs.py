"""A place is kept with the log it belongs to; places that did not fit their log are written down.

`leader_epoch` is the newest epoch that `checked_offset` was found to be part of. Rows of code that knew no logs adopt
the one they are found in. A dead letter of an older row has no log, and none equals none.
"""

from alembic import op

revision = "backbone_0006"
down_revision = "backbone_0005"

TABLES = (
    "ALTER TABLE consumer_offsets ADD COLUMN log uuid, ADD COLUMN leader_epoch int, ADD COLUMN checked_offset bigint",
    "ALTER TABLE dead_letters ADD COLUMN log uuid",
    "DROP INDEX dead_letters_place",
    """
    CREATE UNIQUE INDEX dead_letters_place ON dead_letters (consumer, topic, partition, "offset", log)
      NULLS NOT DISTINCT
    """,
    "ALTER TABLE discarded_letters ADD COLUMN log uuid",
    """
    CREATE TABLE log_breaks (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      consumer text NOT NULL, topic text NOT NULL, partition int NOT NULL, what text NOT NULL, said text NOT NULL,
      noticed_at timestamptz NOT NULL DEFAULT now(), acknowledged_at timestamptz
    )
    """,
    """
    CREATE UNIQUE INDEX log_breaks_open ON log_breaks (consumer, topic, partition, what, said)
      WHERE acknowledged_at IS NULL
    """,
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE log_breaks")
    op.execute("ALTER TABLE discarded_letters DROP COLUMN log")
    op.execute("ALTER TABLE dead_letters DROP COLUMN log")  # and with it the index
    op.execute(
        'CREATE UNIQUE INDEX dead_letters_place ON dead_letters (consumer, topic, partition, "offset")',
    )
    op.execute(
        "ALTER TABLE consumer_offsets DROP COLUMN log, DROP COLUMN leader_epoch, DROP COLUMN checked_offset",
    )
