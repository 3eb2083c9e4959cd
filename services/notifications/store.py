"""Notifications in the database: each is written once and kept, sent or not."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, select

from backbone.events.payload import Payload
from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement, rows
from services.notifications.decisions import NO_ADDRESS, Mail, told_of
from services.notifications.tables import notifications

N = notifications.c


class _New(NamedTuple):
    id: str
    mail: Mail


class _Settled(NamedTuple):
    id: str
    status: str
    recipient: str | None = None
    reason: str | None = None
    sent_at: datetime | None = None


class Queued(NamedTuple):
    """Holds a mail that waits to be sent; without a recipient it is for the shop."""

    recipient: str | None
    subject: str
    body: str
    message_id: str
    created_at: datetime


# What no mail server would take has failed from the beginning.
_ADD_ALL = Statement(
    "INSERT INTO notifications (:new.columns, created_at) SELECT :new.*, :now::timestamptz FROM :new",
    new=rows(
        notifications,
        without=("created_at", "sent_at"),
        within="mail",
        id="id",
        message_id=lambda new: f"<{new.id}@sliceline.example>",
        status=lambda new: "queued" if new.mail.is_deliverable else "failed",
        reason=lambda new: None if new.mail.is_deliverable else NO_ADDRESS,
    ),
)
# Rows are locked in sorted order. What was settled before is left alone, and not returned.
_SETTLE_ALL = Statement(
    """
    WITH locked AS (
      SELECT id FROM notifications WHERE id = ANY(:row.id) AND status = 'queued' ORDER BY id FOR UPDATE
    )
    UPDATE notifications AS n SET status = row.status, reason = row.reason, sent_at = row.sent_at,
                                  recipient = coalesce(row.recipient, n.recipient)
    FROM :row JOIN locked USING (id)
    WHERE n.id = row.id RETURNING n.id, n.status, n.kind, n.recipient, n.about
    """,
    row=rows(N.id, N.status, N.recipient, N.reason, N.sent_at),
)


async def add_all(tx: Tx, mails: Mapping[str, Mail]) -> None:
    """Write new mails, by their ids."""
    if not mails:
        return
    await _ADD_ALL.execute(tx.raw, new=[_New(*each) for each in mails.items()], now=tx.now)


async def settle_all(
    tx: Tx, sent: Mapping[str, str], failed: Mapping[str, str], ignored: Mapping[str, str]
) -> dict[str, tuple[Payload, ...]]:
    """Note which mails were sent (with their recipients) and which never will be (with the reasons).

    Returns what is to be told of those sent, by name; a mail that was settled before stays as it is.
    """
    settled = [_Settled(name, "sent", recipient=recipient, sent_at=tx.now) for name, recipient in sent.items()]
    settled += [_Settled(name, "failed", reason=reason) for name, reason in failed.items()]
    settled += [_Settled(name, "ignored", reason=reason) for name, reason in ignored.items()]
    return {
        row["id"]: told_of(row["id"], row["kind"], row["recipient"], row["about"])
        for row in await _SETTLE_ALL.fetch(tx.raw, row=settled)
        if row["status"] == "sent"
    }


async def find_queued(database: Database, names: Iterable[str]) -> dict[str, Queued]:
    """Return those of these mails that still wait, by name, the oldest first."""
    query = select(N.id, *(N[field] for field in Queued._fields))
    query = query.where(N.id.in_(names), N.status == "queued").order_by(N.created_at, N.id)
    async with database.reading() as connection:
        return {name: Queued(*rest) for name, *rest in await connection.execute(query)}


async def list_page(database: Database, page: Page, about: str | None) -> Sequence[Row[Any]]:
    """Return the notifications of a page, the newest happening first.

    They are of an order or a SKU, if one is given.
    """
    query: Select[Any] = select(notifications).order_by(N.id.desc()).limit(page.limit + 1)
    if about is not None:
        query = query.where(N.about == about)
    if page.after:
        query = query.where(N.id < page.after)
    async with database.reading() as connection:
        found: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return found
