"""The table of notifications: each is written once and kept, sent or not."""

from sqlalchemy import Column, DateTime, Index, MetaData, Table, Text

metadata = MetaData()

notifications = Table(
    "notifications",
    metadata,
    # The id of the happening it tells of, so that one happening can never be told twice.
    Column("id", Text(collation="C"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("about", Text, nullable=False),
    # Null is the shop; its address is filled in when the mail is sent.
    Column("recipient", Text),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Index("notifications_about", "about", "id"),
)
