"""The table of notifications: each is written once and kept, sent or not."""

from collections.abc import Mapping

from sqlalchemy import Column, DateTime, Index, MetaData, Table, Text

from backbone.database import Tx
from services.notifications.decisions import Mail

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

_ADD_ALL = """
    INSERT INTO notifications (id, kind, about, recipient, subject, body, message_id, status, reason, created_at)
    SELECT new.*, $10::timestamptz
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[]) AS new
"""


async def add_all(tx: Tx, mails: Mapping[str, Mail]) -> None:
    """Write new mails down, by their ids; what no mail server would take has failed from the beginning."""
    rows = [
        (
            name,
            mail.kind,
            mail.about,
            mail.recipient,
            mail.subject,
            mail.body,
            f"<{name}@sliceline.example>",
            "queued" if mail.is_deliverable else "failed",
            None if mail.is_deliverable else "This is no address that a mail server would take.",
        )
        for name, mail in mails.items()
    ]
    await tx.raw.execute(_ADD_ALL, *map(list, zip(*rows, strict=True)), tx.now)
