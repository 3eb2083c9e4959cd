"""The tables of webhooks."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from backbone.storage.tables import APPEND_ONLY, SECRET

metadata = MetaData()
Name = Text(collation="C")
Moment = DateTime(timezone=True)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Name, primary_key=True),
    Column("url", Text, nullable=False),
    Column("description", Text),
    # Null: it gets only what rules send it.
    Column("pattern", JSONB),
    Column("ordered", Boolean, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("rate", Float),
    Column("allowed_failures", Integer, nullable=False),
    Column("status", Text, nullable=False),
    # Whether it was active before: then it is owed events also while a new address has to prove itself.
    Column("proven", Boolean, nullable=False),
    Column("reason", Text),
    Column("secret", Text, nullable=False),
    # Signs as well until its time is over, so that a receiver may change over when it likes.
    Column("old_secret", Text),
    Column("old_secret_until", Moment),
    # How often in a row nothing got through, and from when on the next time counts: else traffic would decide.
    Column("failures", Integer, nullable=False),
    Column("counts_from", Moment),
    # When the endpoint's job is due; null where it has none. Past while the job runs.
    Column("planned_at", Moment),
    # Nothing is sent before: the receiver asked for a pause, or nothing gets through.
    Column("rests_until", Moment),
    Column("pinged_at", Moment),
    Column("ping_result", Text),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("status IN ('unproven', 'active', 'disabled')", name="endpoints_status"),
    info=SECRET,
)

# Every event that was heard, as it is sent, in the order in which it was: of one key that is the order of the key.
messages = Table(
    "messages",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Name, nullable=False, unique=True),
    Column("type", Name, nullable=False),
    Column("key", Name, nullable=False),
    # The endpoint that a rule has made it for; null where it is an event, for whoever asks.
    Column("only_for", Name),
    Column("body", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    Index("messages_received", "received_at"),
)

# What an endpoint is owed.
deliveries = Table(
    "deliveries",
    metadata,
    Column("endpoint_id", Name, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("key", Name, nullable=False),
    Column("status", Text, nullable=False),
    Column("due", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_attempt_at", Moment),
    Column("changed_at", Moment, nullable=False),
    ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["position"], ["messages.position"], ondelete="CASCADE"),
    CheckConstraint("status IN ('waiting', 'delivered', 'parked', 'discarded')", name="deliveries_status"),
    Index("deliveries_waiting", "endpoint_id", "position", postgresql_where="status = 'waiting'"),
    Index("deliveries_due", "endpoint_id", "due", postgresql_where="status = 'waiting'"),
    Index(
        "deliveries_holding",
        "endpoint_id",
        "key",
        "position",
        postgresql_where="status IN ('waiting', 'parked')",
    ),
    Index("deliveries_position", "position"),
)

# What came of each attempt.
attempts = Table(
    "attempts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint_id", Name, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("said", Text, nullable=False),
    ForeignKeyConstraint(
        ["endpoint_id", "position"], ["deliveries.endpoint_id", "deliveries.position"], ondelete="CASCADE"
    ),
    Index("attempts_delivery", "endpoint_id", "position", "id"),
    info=APPEND_ONLY,
)
