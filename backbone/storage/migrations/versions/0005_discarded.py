"""What an operator gave up of the dead letters: kept whole, with who did so, when and why."""

from alembic import op

revision = "backbone_0005"
down_revision = "backbone_0004"

TABLE = """
CREATE TABLE discarded_letters (
  id bigint PRIMARY KEY,
  consumer text NOT NULL, topic text NOT NULL, partition int NOT NULL, "offset" bigint NOT NULL, key text NOT NULL,
  type text, error text, headers jsonb NOT NULL, record_key bytea, value bytea, parked_at timestamptz NOT NULL,
  discarded_at timestamptz NOT NULL DEFAULT now(), discarded_by text NOT NULL, reason text NOT NULL
)
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute('CREATE INDEX discarded_letters_place ON discarded_letters (consumer, topic, partition, "offset")')


def downgrade() -> None:
    op.execute("DROP TABLE discarded_letters")
