"""What a consumer did with the records it read is counted, by partition and type, in the transaction that did it.

`since_offset` is from where it counts, in the log there is: where the consumer began, or where this release took the
place over. NULL until then. `counted_offset` is up to where records are counted already that are read again.
"""

from alembic import op

revision = "backbone_0011"
down_revision = "backbone_0010"

TABLES = (
    """
    ALTER TABLE consumer_offsets
      ADD COLUMN since_offset bigint, ADD COLUMN since_at timestamptz, ADD COLUMN counted_offset bigint
    """,
    # Half of each page stays free, so that an update finds room beside the row and touches no index.
    """
    CREATE TABLE handled_counts (
      consumer text NOT NULL, topic text NOT NULL, partition int NOT NULL, type text NOT NULL,
      applied bigint NOT NULL, ignored bigint NOT NULL, repeated bigint NOT NULL,
      PRIMARY KEY (consumer, topic, partition, type)
    ) WITH (fillfactor = 50)
    """,
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE handled_counts")
    op.execute(
        "ALTER TABLE consumer_offsets DROP COLUMN since_offset, DROP COLUMN since_at, DROP COLUMN counted_offset"
    )
