"""The tables of the ledger: every event there was, in a partition for each of their days, and the balance sheet's."""

from sqlalchemy import BigInteger, Column, Date, DateTime, Index, Integer, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSON, JSONB

from backbone.storage.tables import APPEND_ONLY

metadata = MetaData()

# `day` is that of the event's own time, in UTC. The id comes first in the key: it leads to its event whatever the day.
# `headers` are [name, value in base64 or null] in their order, as JSON: JSONB holds no name with a NUL in it.
events = Table(
    "events",
    metadata,
    Column("id", Text(collation="C"), primary_key=True),
    Column("source", Text(collation="C"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("type", Text(collation="C"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("topic", Text(collation="C"), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True)),
    Column("key", Text(collation="C"), nullable=False),
    Column("record_key", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("correlationid", Text(collation="C"), nullable=False),
    Column("causationid", Text(collation="C")),
    Column("occurrenceid", Text(collation="C"), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("archived_at", DateTime(timezone=True), nullable=False),
    Column("traceid", Text(collation="C")),
    Index("events_time", "time", "id"),
    Index("events_type", "type", "time"),
    Index("events_key", "key", "time"),
    Index("events_correlation", "correlationid"),
    Index("events_source", "source", "time"),
    Index("events_trace", "traceid", postgresql_where=text("traceid IS NOT NULL")),
    Index("events_place", "topic", "partition", "offset"),
    Index("events_came", text("coalesce(recorded_at, time)"), "topic", "partition", "offset", "id"),
    postgresql_partition_by="RANGE (day)",
    info=APPEND_ONLY,
)

# Where an event that was kept already came again.
copies = Table(
    "copies",
    metadata,
    Column("topic", Text(collation="C"), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("type", Text(collation="C"), nullable=False),
    Column("source", Text(collation="C"), nullable=False),
    Column("id", Text(collation="C"), nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False),
)

# What the archive holds, by type, from before a consumer counted; of how many events the consumer heard first by what
# is a copy here; and up to where the two have balanced. A row holds for a pair of beginnings (`since`): where one of
# the two begins anew, it is made anew.
openings = Table(
    "openings",
    metadata,
    Column("consumer", Text(collation="C"), primary_key=True),
    Column("topic", Text(collation="C"), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("since", Text, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("heard_first", JSONB, nullable=False),
    Column("balanced_offset", BigInteger, nullable=False),
)

# What was found last, what of it was told and when, and what somebody has accepted of it.
alarms = Table(
    "alarms",
    metadata,
    Column("consumer", Text(collation="C"), primary_key=True),
    Column("seen", JSONB, nullable=False),
    Column("broken_at", DateTime(timezone=True)),
    Column("told", JSONB, nullable=False, server_default="[]"),
    Column("told_at", DateTime(timezone=True)),
    Column("accepted", JSONB, nullable=False, server_default="[]"),
)

# Services that did not answer at the last look, and since when: they have no sheet, and no alarm.
silences = Table(
    "silences",
    metadata,
    Column("service", Text(collation="C"), primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
)

# The forms of contracts that were told of.
told_forms = Table(
    "told_forms",
    metadata,
    Column("type", Text(collation="C"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("told_at", DateTime(timezone=True), nullable=False),
    info=APPEND_ONLY,
)
