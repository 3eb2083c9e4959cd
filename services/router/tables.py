"""The tables of the router: the rules, every version that there was of them, and the troubles they had."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from backbone.storage.tables import APPEND_ONLY

metadata = MetaData()

rules = Table(
    "rules",
    metadata,
    Column("id", Text(collation="C"), primary_key=True),
    Column("bus", Text(collation="C"), nullable=False),
    Column("name", Text(collation="C"), nullable=False),
    Column("pattern", JSONB, nullable=False),
    Column("targets", JSONB, nullable=False),
    Column("means_all", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
    Index("rules_bus_name", "bus", "name", unique=True),
)

# One row for each change that ever was: who made it, when, and what the rule said from then on.
rule_versions = Table(
    "rule_versions",
    metadata,
    Column("rule", Text(collation="C"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("change", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
    info=APPEND_ONLY,
)

# One row for each rule and kind of trouble, however often it happens.
troubles = Table(
    "troubles",
    metadata,
    Column("rule", Text(collation="C"), primary_key=True),
    Column("kind", Text(collation="C"), primary_key=True),
    Column("times", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
)

# One row, drawn anew with every change of a rule: whoever has the rules in memory sees that they are others. It is no
# number that counts, for a database that is restored would count to the same numbers again.
rulebook = Table("rulebook", metadata, Column("revision", Text, primary_key=True))
