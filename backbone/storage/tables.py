"""Describes the tables that every service's database has beside its own."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

READING = ("SELECT",)
APPEND_ONLY = {"append_only": True}
"""The `info` of a table to which a service adds rows that it neither changes nor deletes, and so may not."""
READ_ONLY = {"read_only": True}
"""The `info` of a table that a service only reads: a function that works as its owner writes it."""
SECRET = {"secret": True}
"""The `info` of a table of which nobody reads a row but its service."""
FOR_CUSTOMERS = {"customers": READING}
"""The `info` of a table that a customer's request may read, every row of it."""


def own(whose: str, *changes: str) -> dict[str, Any]:
    """Make the `info` of a table of customers' own rows: `whose` says in SQL whose a row is.

    A customer's request may read these rows alone, and do with them what `changes` names: "INSERT", "UPDATE", "DELETE".
    """
    return {"customers": (*READING, *changes), "whose": whose}


SOUND_TYPE = "length(type) <= 512"
"""What is longer than a type may be is none (see `envelope.LONGEST_ATTRIBUTE`), and would not fit into an index."""


def _counted(name: str, condition: str) -> Index:
    """Describe an index that holds all by which letters are counted: no letter itself is read for that."""
    columns = ("consumer", "topic", "partition", "type")
    return Index(name, *columns, postgresql_include=("offset", "log", "counts_in"), postgresql_where=text(condition))


def _odd(name: str) -> Index:
    return Index(name, "consumer", "topic", "partition", postgresql_where=text(f"({SOUND_TYPE}) IS NOT TRUE"))


# Columns in the shape that Debezium's outbox event router reads (aggregatetype, aggregateid, type, payload); the rest
# become headers there by `table.fields.additional.placement`. `position` gives the order, drawn under the key's lock.
outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Text, nullable=False),
    Column("aggregatetype", Text, nullable=False),
    Column("aggregateid", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("dataschema", Text, nullable=False),
    Column("correlationid", Text, nullable=False),
    Column("causationid", Text),
    Column("occurrenceid", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("traceparent", Text),
    Column("specversion", Text, nullable=False, server_default="1.0"),
    Column("payload", Text, nullable=False),
)

# Events that Kafka refused for themselves (those have an error), and later ones of their keys, which wait behind them.
refused_events = Table(
    "refused_events",
    metadata,
    *(Column(each.name, each.type, nullable=each.nullable) for each in outbox.columns if each.name != "position"),
    Column("position", BigInteger, primary_key=True),
    Column("error", Text),
    Column("refused_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("refused_events_key", "aggregateid", "position"),
)

# One row per key ever published: the lock that orders a key's events, and its last sequence.
sequences = Table(
    "sequences",
    metadata,
    Column("key", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("occurrence", Text, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # The attempts that it took, and the last errors, where it did not pass at the first.
    Column("attempts", Integer),
    Column("errors", JSONB),
    Index("inbox_received_at", "received_at", postgresql_using="brin"),
)

# One row: deliveries before this moment may be forgotten, later ones are not; NULL: none are. Whoever replays or
# purges locks it.
inbox_memory = Table(
    "inbox_memory",
    metadata,
    Column("forgotten_before", DateTime(timezone=True)),
)

consumer_offsets = Table(
    "consumer_offsets",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("log", Uuid),
    Column("leader_epoch", Integer),
    Column("checked_offset", BigInteger),
    Column("reached_offset", BigInteger),
    Column("since_offset", BigInteger),
    Column("since_at", DateTime(timezone=True)),
    Column("counted_offset", BigInteger),
    # To where somebody moved the place who counts: where it is elsewhere, an older release has moved it on uncounted.
    Column("moved_to", BigInteger),
)

# What became of the records from `since_offset` on; those that are parked or discarded are counted where they lie, and
# as `discarded` here once they are purged.
handled_counts = Table(
    "handled_counts",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("applied", BigInteger, nullable=False),
    Column("ignored", BigInteger, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("discarded", BigInteger, nullable=False, server_default="0"),
)

# Where a log did not reach to the place at which its reader stood, and what came of it.
log_breaks = Table(
    "log_breaks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("what", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("noticed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("acknowledged_at", DateTime(timezone=True)),
    Index(
        "log_breaks_open",
        "consumer",
        "topic",
        "partition",
        "what",
        "said",
        unique=True,
        postgresql_where="acknowledged_at IS NULL",
    ),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("due", DateTime(timezone=True), nullable=False),
    Column("scheduled_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("first_attempt_at", DateTime(timezone=True)),
    Column("lease", Uuid),
    Column("error", Text),
    Column("parked_at", DateTime(timezone=True)),
    Column("correlationid", Text, nullable=False),
    Column("causationid", Text),
    Column("traceparent", Text),
    Index("jobs_kind_key", "kind", "key", unique=True),
    Index("jobs_story", "correlationid"),
    Index("jobs_due", "kind", "due", postgresql_where="parked_at IS NULL"),
    # What is in hand, fails or was given up is little, and asked for at every look at the backlog.
    Index("jobs_in_hand", "kind", "due", postgresql_where="lease IS NOT NULL"),
    Index("jobs_failing", "kind", "first_attempt_at", postgresql_where="error IS NOT NULL AND parked_at IS NULL"),
    Index("jobs_parked", "kind", "parked_at", postgresql_where="parked_at IS NOT NULL"),
)

# What is left of jobs that have ended and took several attempts, with the last error before the end.
retried_jobs = Table(
    "retried_jobs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("first_attempt_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("correlationid", Text, nullable=False),
    Column("causationid", Text),
    Index("retried_jobs_story", "correlationid"),
    Index("retried_jobs_ended_at", "ended_at", postgresql_using="brin"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text),
    Column("error", Text),
    Column("headers", JSONB, nullable=False),
    Column("record_key", LargeBinary),
    Column("value", LargeBinary),
    Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("log", Uuid),
    # Of its last failure; all null, and no attempts, where it only waits behind another of its key.
    Column("fingerprint", Text),
    Column("frames", JSONB),
    Column("failing", JSONB),
    Column("failed_at", DateTime(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # The row of `edited_letters` that has the original of this copy.
    Column("edit", BigInteger),
    # The log in which a replayed one counts that is in a log of its own.
    Column("counts_in", Uuid),
    Index(
        "dead_letters_place",
        "consumer",
        "topic",
        "partition",
        "offset",
        "log",
        unique=True,
        postgresql_nulls_not_distinct=True,
    ),
    Index("dead_letters_key", "consumer", "topic", "key", "id"),
    Index("dead_letters_blamed", "id", postgresql_where="error IS NOT NULL"),
    _counted("dead_letters_parked", f"error IS NOT NULL AND {SOUND_TYPE}"),
    _counted("dead_letters_held", f"error IS NULL AND {SOUND_TYPE}"),
    _odd("dead_letters_odd"),
)

# What an operator gave up: the letter as it was, under its old id, and who did so, when and why.
discarded_letters = Table(
    "discarded_letters",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *(
        Column(each.name, each.type, nullable=each.nullable, server_default="0" if each.name == "attempts" else None)
        for each in dead_letters.columns
        if each.name != "id"
    ),
    Column("discarded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("discarded_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("discarded_letters_place", "consumer", "topic", "partition", "offset"),
    _counted("discarded_letters_counted", SOUND_TYPE),
    _odd("discarded_letters_odd"),
    Index("discarded_letters_discarded_at", "discarded_at"),
)

# What an edited dead letter was: `letter` is its copy, which keeps its number, its place and its occurrence.
edited_letters = Table(
    "edited_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("letter", BigInteger, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("log", Uuid),
    Column("record_key", LargeBinary),
    Column("value", LargeBinary),
    Column("diff", Text, nullable=False),
    Column("edited_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("edited_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("edited_letters_place", "consumer", "topic", "partition", "offset"),
    Index("edited_letters_edited_at", "edited_at"),
)

# A plan by which letters are handled again, and how far it is. What was asked for: a letter, a key, a fingerprint, all.
redrives = Table(
    "redrives",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("letter", BigInteger),
    Column("key", Text),
    Column("fingerprint", Text),
    Column("dry_run", Boolean, nullable=False),
    Column("rate", Float),
    Column("on_failure", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="running"),
    Column("total", Integer, nullable=False),
    Column("changes", JSONB),
    Column("steps", Integer, nullable=False, server_default="0"),
    Column("began_by", Text, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    Index("redrives_ended_at", "ended_at"),
)

# The keys that a redrive takes; one is closed for it when an event of it failed, or was tried in a dry run.
redrive_keys = Table(
    "redrive_keys",
    metadata,
    Column("redrive", BigInteger, ForeignKey("redrives.id", ondelete="CASCADE"), primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("closed", Boolean, nullable=False, server_default="false"),
)

redrive_outcomes = Table(
    "redrive_outcomes",
    metadata,
    Column("redrive", BigInteger, ForeignKey("redrives.id", ondelete="CASCADE"), primary_key=True),
    Column("letter", BigInteger, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text),
    Column("outcome", Text, nullable=False),
    Column("error", Text),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("redrive_outcomes_letter", "letter"),
    Index("redrive_outcomes_key", "topic", "key", "letter"),
)

# What operators did to dead letters: who, when and what.
acts = Table(
    "acts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("about", JSONB, nullable=False),
    Index("acts_at", "at"),
)

parked_keys = Table(
    "parked_keys",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("pause", BigInteger),
    Index("parked_keys_paused", "pause", postgresql_where="pause IS NOT NULL"),
)

# What an operator has paused, and what went on again since. A key is parked under its pause.
pauses = Table(
    "pauses",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("what", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("paused_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("paused_by", Text, nullable=False),
    Column("resumed_at", DateTime(timezone=True)),
    Column("resumed_by", Text),
    Index("pauses_lasting", "what", "name", unique=True, postgresql_where="resumed_at IS NULL"),
    Index("pauses_resumed_at", "resumed_at"),
)

# Kinds of job of which several have failed in a row for something outside: since `opened_at` they rest.
breakers = Table(
    "breakers",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("keys", ARRAY(Text), nullable=False, server_default="{}"),
    Column("rests", Integer, nullable=False, server_default="0"),
    Column("opened_at", DateTime(timezone=True)),
    Column("rests_until", DateTime(timezone=True)),
    Column("error", Text),
)

# One row, once these tables have been placed beside their topics; `skipped`: at the newest events.
beginnings = Table(
    "beginnings",
    metadata,
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("skipped", Boolean, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("meaning", LargeBinary),
    Column("status", Integer),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("idempotency_keys_created_at", "created_at", postgresql_using="brin"),
    info=SECRET,  # whoever has a key gets the answer
)

# The keys with which what is a person's own is sealed, each wrapped with the master key; null once it is destroyed.
data_keys = Table(
    "data_keys",
    metadata,
    Column("name", Text(collation="C"), primary_key=True),
    Column("person", Text, nullable=False),
    Column("wrapped", LargeBinary),
    Column("made_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("forgotten_at", DateTime(timezone=True)),
    Index("data_keys_person", "person", "made_at"),
    Index("data_keys_living", "person", unique=True, postgresql_where=text("forgotten_at IS NULL")),
    info=SECRET,
)

# Master keys with which no data key may be wrapped any more, by what names them (see sealing/cipher.py).
retired_master_keys = Table(
    "retired_master_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("retired_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# What staff and operators did and who was refused, not chained yet: a function moves it into `audit`, in this order.
audit_waiting = Table(
    "audit_waiting",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("entry", Text, nullable=False),
    info=APPEND_ONLY,
)

# The same in its place: each row's hash follows from its number, its entry and the hash of the row before.
audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    info=READ_ONLY,
)
