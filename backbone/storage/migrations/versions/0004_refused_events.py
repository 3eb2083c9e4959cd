"""Where events are set aside that Kafka refuses."""

from alembic import op

revision = "backbone_0004"
down_revision = "backbone_0003"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE refused_events (
          position bigint PRIMARY KEY,
          id text NOT NULL, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
          source text NOT NULL, subject text NOT NULL, time timestamptz NOT NULL, dataschema text NOT NULL,
          correlationid text NOT NULL, causationid text, occurrenceid text NOT NULL, sequence bigint NOT NULL,
          traceparent text, specversion text NOT NULL, payload text NOT NULL,
          error text, refused_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX refused_events_key ON refused_events (aggregateid, position)")


def downgrade() -> None:
    op.execute("DROP TABLE refused_events")
