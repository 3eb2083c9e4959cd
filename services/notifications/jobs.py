"""Sending. A mail may be handed over twice when an answer is lost; its Message-ID is the same then."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from backbone.database import Tx
from backbone.jobs import Done, Job, Work
from backbone.retry import RetryPolicy
from backbone.service import Context
from services.notifications import tables
from services.notifications.decisions import one_line
from services.notifications.settings import Settings
from services.notifications.tables import Queued

SEND = "send"
# For each step of the conversation, and for all mails of one connection: a job may wait for the connection before its
# own, and both have to fit into its lease of a minute.
STEP_SECONDS = 8.0
CONNECTION_SECONDS = 25.0
PATIENCE = RetryPolicy(first=timedelta(seconds=2), longest=timedelta(minutes=15), within=timedelta(days=3))


@dataclass(frozen=True)
class Sent:
    """The mail server took it."""

    recipient: str


@dataclass(frozen=True)
class Failed:
    """No mail server will ever deliver it."""

    reason: str


Outcome = Sent | Failed | None


async def send(job: Job, context: Context[Settings]) -> Outcome:
    """Hand one mail to the mail server. What passes (no connection, a 4xx) is raised, to be tried again for days."""
    return await context.together(_send_all).join(job.key)


async def _send_all(context: Context[Settings], names: Sequence[str]) -> Sequence[Outcome | Exception]:
    """What is due at the same moment goes over one connection. None for what is not to be sent any more."""
    settings, outcomes = context.settings, dict[str, Outcome | Exception]()
    mails = await tables.queued(context.database, names)
    if not mails:
        return [None] * len(names)
    server = aiosmtplib.SMTP(hostname=settings.smtp_host, port=settings.smtp_port, timeout=STEP_SECONDS)
    try:
        async with asyncio.timeout(CONNECTION_SECONDS), server:
            for name, mail in mails.items():
                outcomes[name] = await _hand_over(server, mail, settings.shop_email)
    except (aiosmtplib.SMTPException, OSError) as error:  # TimeoutError is an OSError
        outcomes = {name: outcomes.get(name, error) for name in mails}
    return [outcomes.get(name) for name in names]


async def _hand_over(server: aiosmtplib.SMTP, mail: Queued, shop: str) -> Outcome | Exception:
    recipient = mail.recipient or shop
    try:
        await server.send_message(letter(mail, recipient, shop), sender=shop, recipients=[recipient])
    except aiosmtplib.SMTPException as error:
        reason = refusal(error)
        return Failed(reason) if reason else error
    except OSError as error:
        return error
    except Exception as error:  # an address that the parser of headers cannot take apart; others share the connection
        return Failed(f"This mail cannot be written: {type(error).__name__}: {error}")
    return Sent(recipient)


def letter(mail: Queued, recipient: str, shop: str) -> EmailMessage:
    """A plain-text mail. EmailMessage refuses a line break in a header, should one ever get this far."""
    message = EmailMessage()
    message["From"] = f"Sliceline <{shop}>"
    message["To"] = recipient
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
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


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Note what became of the mails, and tell of those that were sent."""
    outcomes = {each.job.key: each.outcome for each in done}
    sent = {name: outcome.recipient for name, outcome in outcomes.items() if isinstance(outcome, Sent)}
    failed = {name: one_line(outcome.reason) for name, outcome in outcomes.items() if isinstance(outcome, Failed)}
    told = await tables.settle(tx, sent, failed)
    for each in done:
        if mail := told.get(each.job.key):
            tx.publish(mail, key=mail.notification, cause=each.cause)


def give_up(_: Job) -> Outcome:
    """What is noted of a mail that could not be sent for days."""
    return Failed("The mail server did not take it for three days.")


JOBS: Mapping[str, Work[Settings]] = {SEND: Work(send, settle, PATIENCE, concurrency=16, exhausted=give_up)}
