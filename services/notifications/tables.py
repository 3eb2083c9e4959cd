"""The table of notifications: each is written once and kept, sent or not."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, DateTime, Index, MetaData, Table, Text, select

from backbone.events.payload import Payload
from backbone.storage.database import Database, Tx
from services.notifications.decisions import NO_ADDRESS, Mail, told_of

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

# Rows are locked in sorted order. What was settled before is left alone, and not returned.
_SETTLE = """
    WITH locked AS (
      SELECT id FROM notifications WHERE id = ANY($1::text[]) AND status = 'queued' ORDER BY id FOR UPDATE
    )
    UPDATE notifications AS n SET status = row.status, reason = row.reason, sent_at = row.sent_at,
                                  recipient = coalesce(row.recipient, n.recipient)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
      AS row(id, status, recipient, reason, sent_at) JOIN locked USING (id)
    WHERE n.id = row.id RETURNING n.id, n.status, n.kind, n.recipient, n.about
"""


class Queued(NamedTuple):
    """A mail that waits to be sent; without a recipient it is for the shop."""

    recipient: str | None
    subject: str
    body: str
    message_id: str
    created_at: datetime


async def queued(database: Database, names: Iterable[str]) -> dict[str, Queued]:
    """Those of the mails that still wait, by name, the oldest first."""
    n = notifications.c
    query = select(n.id, n.recipient, n.subject, n.body, n.message_id, n.created_at)
    async with database.reading() as connection:
        rows = await connection.execute(query.where(n.id.in_(names), n.status == "queued").order_by(n.created_at, n.id))
    return {name: Queued(*rest) for name, *rest in rows}


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
            None if mail.is_deliverable else NO_ADDRESS,
        )
        for name, mail in mails.items()
    ]
    await tx.raw.execute(_ADD_ALL, *map(list, zip(*rows, strict=True)), tx.now)


async def settle(tx: Tx, sent: Mapping[str, str], failed: Mapping[str, str]) -> dict[str, tuple[Payload, ...]]:
    """Note which mails were sent (with their recipients) and which never will be (with the reasons).

    Returns what is to be told of those sent, by name; a mail that was settled before stays as it is.
    """
    rows: list[tuple[str, str, str | None, str | None, datetime | None]] = []
    rows += [(name, "sent", recipient, None, tx.now) for name, recipient in sent.items()]
    rows += [(name, "failed", None, reason, None) for name, reason in failed.items()]
    settled = await tx.raw.fetch(_SETTLE, *map(list, zip(*rows, strict=True)))
    return {
        row["id"]: told_of(row["id"], row["kind"], row["recipient"], row["about"])
        for row in settled
        if row["status"] == "sent"
    }
