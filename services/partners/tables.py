"""The tables of partners."""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from backbone.storage.tables import APPEND_ONLY, SECRET

metadata = MetaData()
Name = Text(collation="C")
Moment = DateTime(timezone=True)

partners = Table(
    "partners",
    metadata,
    Column("name", Name, primary_key=True),
    Column("style", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),
    Column("old_secret_until", Moment),
    # A JSON Schema: what the partner has agreed to send.
    Column("contract", JSONB, nullable=False),
    CheckConstraint("style IN ('standard-webhooks', 'stripe', 'github')", name="partners_style"),
    info=SECRET,
)

# What was taken, for ever: one of the styles signs no time, so that a recording stays right.
received = Table(
    "received",
    metadata,
    Column("partner", Name, ForeignKey("partners.name", ondelete="CASCADE"), primary_key=True),
    Column("id", Name, primary_key=True),
    Column("received_at", Moment, nullable=False),
    info=APPEND_ONLY,
)
