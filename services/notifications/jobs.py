"""Sending. A mail may be handed over twice when an answer is lost; its Message-ID is the same then."""

from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from typing import Any

import aiosmtplib
from sqlalchemy import Row, select, update

from backbone.database import Tx
from backbone.jobs import Job, Settlement, Work
from backbone.retry import RetryPolicy
from backbone.service import Context
from services.notifications.decisions import one_line
from services.notifications.events import NotificationSent
from services.notifications.settings import Settings
from services.notifications.tables import notifications

SEND = "send"
# For each step of the conversation, so that all of them fit into the job's lease of a minute.
STEP_SECONDS = 8.0
PATIENCE = RetryPolicy(first=timedelta(seconds=2), longest=timedelta(minutes=15), within=timedelta(days=3))


async def send(job: Job, context: Context[Settings]) -> Settlement | None:
    """Hand one mail to the mail server. What passes (no connection, a 4xx) is raised, to be tried again for days."""
    settings = context.settings
    async with context.database.reading() as connection:
        row = (await connection.execute(select(notifications).where(notifications.c.id == job.key))).one_or_none()
    if row is None or row.status != "queued":
        return None
    recipient = row.recipient or settings.shop_email
    try:
        await aiosmtplib.send(
            letter(row, recipient, settings.shop_email),
            sender=settings.shop_email,
            recipients=[recipient],
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            timeout=STEP_SECONDS,
        )
    except aiosmtplib.SMTPException as error:
        if (reason := refusal(error)) is None:
            raise
        return partial(_fail, job.key, reason)
    return partial(_record_sent, job.key, recipient)


def letter(row: Row[Any], recipient: str, shop: str) -> EmailMessage:
    """A plain-text mail. EmailMessage refuses a line break in a header, should one ever get this far."""
    message = EmailMessage()
    message["From"] = f"Sliceline <{shop}>"
    message["To"] = recipient
    message["Subject"] = row.subject
    message["Date"] = format_datetime(row.created_at)
    message["Message-ID"] = row.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(row.body)
    return message


def refusal(error: aiosmtplib.SMTPException) -> str | None:
    """Why this mail can never be delivered (a 5xx for its recipient or its content); None when it may be later."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[first, *_]) if first.code >= 500:
            return f"The mail server refused the recipient: {first.code} {first.message}"
        case aiosmtplib.SMTPDataError(code=code, message=message) if code >= 500:
            return f"The mail server refused the mail: {code} {message}"
        case aiosmtplib.SMTPNotSupported(message=message):
            return f"The mail server cannot deliver to this address: {message}"
    return None


async def _record_sent(notification: str, recipient: str, tx: Tx) -> None:
    change = update(notifications).where(notifications.c.id == notification, notifications.c.status == "queued")
    change = change.values(status="sent", recipient=recipient, sent_at=tx.now)
    row = (await tx.execute(change.returning(notifications.c.kind, notifications.c.about))).one_or_none()
    if row:
        sent = NotificationSent(notification=notification, kind=row.kind, recipient=recipient, about=row.about)
        tx.publish(sent, key=notification)


async def _fail(notification: str, reason: str, tx: Tx) -> None:
    change = update(notifications).where(notifications.c.id == notification, notifications.c.status == "queued")
    await tx.execute(change.values(status="failed", reason=one_line(reason)))


async def _give_up(job: Job, tx: Tx) -> None:
    await _fail(job.key, "The mail server did not take it for three days.", tx)


JOBS: Mapping[str, Work[Settings]] = {SEND: Work(send, PATIENCE, exhausted=_give_up)}
