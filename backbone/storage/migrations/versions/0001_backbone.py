"""Outbox, inbox, offsets, jobs, dead letters and idempotency keys."""

from alembic import op

revision = "backbone_0001"
down_revision = None

TABLES = """
CREATE TABLE outbox (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
  source text NOT NULL, subject text NOT NULL, time timestamptz NOT NULL, dataschema text NOT NULL,
  correlationid text NOT NULL, causationid text, occurrenceid text NOT NULL, sequence bigint NOT NULL,
  traceparent text, specversion text NOT NULL DEFAULT '1.0', payload text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE sequences (key text PRIMARY KEY, last bigint NOT NULL) WITH (fillfactor = 80);

CREATE TABLE inbox (
  consumer text, name text, occurrence text, received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, name, occurrence)
);
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);

CREATE TABLE consumer_offsets (
  consumer text, topic text, partition int, next_offset bigint NOT NULL, PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL, key text NOT NULL, data jsonb NOT NULL, due timestamptz NOT NULL,
  scheduled_at timestamptz NOT NULL DEFAULT now(), attempts int NOT NULL DEFAULT 0, first_attempt_at timestamptz,
  lease uuid, error text, parked_at timestamptz, correlationid text NOT NULL, causationid text, traceparent text
);
CREATE UNIQUE INDEX jobs_kind_key ON jobs (kind, key);
CREATE INDEX jobs_due ON jobs (kind, due) WHERE parked_at IS NULL;

CREATE TABLE dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  consumer text NOT NULL, topic text NOT NULL, partition int NOT NULL, "offset" bigint NOT NULL, key text NOT NULL,
  type text, error text, headers jsonb NOT NULL, record_key bytea, value bytea,
  parked_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX dead_letters_place ON dead_letters (consumer, topic, partition, "offset");
CREATE INDEX dead_letters_key ON dead_letters (consumer, topic, key, id);

CREATE TABLE parked_keys (
  consumer text, topic text, key text, parked_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer, topic, key)
);

CREATE TABLE idempotency_keys (
  scope text, key text, fingerprint bytea NOT NULL, status int, headers jsonb, body bytea,
  created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at);
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute(
        "DROP TABLE outbox, sequences, inbox, consumer_offsets, jobs, dead_letters, parked_keys, idempotency_keys"
    )
