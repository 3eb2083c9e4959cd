"""Sending. A mail may be handed over twice when an answer is lost; its Message-ID is the same then."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from backbone.database import Tx
from backbone.jobs import Done, Job, Postpone, Work
from backbone.retry import RetryPolicy
from backbone.service import Context
from backbone.texts import is_email, one_line
from services.notifications import tables
from services.notifications.decisions import NO_ADDRESS
from services.notifications.settings import Settings
from services.notifications.tables import Queued

SEND = "send"
# For each step of the conversation, and for the mails of one flush: a job may wait for the flush before its own, each
# may end with a last step, and all that has to fit into its lease of a minute.
STEP_SECONDS = 8.0
FLUSH_SECONDS = 20.0
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
    """What is due at the same moment goes over one connection, as long as it holds. None: it is not queued any more."""
    mails = await tables.queued(context.database, names)
    outcomes: dict[str, Outcome | Exception] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            while waiting := {name: mail for name, mail in mails.items() if name not in outcomes}:
                await _send_over_one_connection(context.settings, waiting, outcomes)
    # Where not even one was tried, the connection took all the time: that counts as an attempt of each.
    untried = Postpone(timedelta(seconds=1)) if outcomes else TimeoutError("The mail server was too slow to connect.")
    return [outcomes.get(name, untried) if name in mails else None for name in names]


async def _send_over_one_connection(
    settings: Settings, mails: Mapping[str, Queued], outcomes: dict[str, Outcome | Exception]
) -> None:
    """Hand over one by one. Whatever breaks the connection ends it, and concerns the mail it met; none yet: all."""
    server = aiosmtplib.SMTP(hostname=settings.smtp_host, port=settings.smtp_port, timeout=STEP_SECONDS)
    met = list(mails)
    try:
        async with server:
            for name, mail in mails.items():
                met = [name]
                outcomes[name] = TimeoutError("The mail server was too slow.")  # until there is an answer
                outcomes[name] = await _hand_over(server, mail, settings.shop_email)
                met = []
                if not server.is_connected:  # some servers hang up with a refusal
                    return
    except (aiosmtplib.SMTPException, OSError) as error:  # its TimeoutErrors are OSErrors
        outcomes.update(dict.fromkeys(met, error))


async def _hand_over(server: aiosmtplib.SMTP, mail: Queued, shop: str) -> Outcome | Exception:
    """Raises OSError when the connection is of no use any more."""
    recipient = mail.recipient or shop
    if not is_email(recipient):  # written down by a release that knew less about addresses
        return Failed(NO_ADDRESS)
    try:
        await server.send_message(letter(mail, recipient, shop), sender=shop, recipients=[recipient])
    except OSError:
        raise
    except aiosmtplib.SMTPException as error:
        reason = refusal(error)
        return Failed(reason) if reason else error
    except Exception as error:  # an address that the parser of headers cannot take apart; others share the connection
        return Failed(f"This mail cannot be written: {type(error).__name__}: {error}")
    return Sent(recipient)


def letter(mail: Queued, recipient: str, shop: str) -> EmailMessage:
    """A plain-text mail. EmailMessage refuses a line break in a header, should one ever get this far."""
    message = EmailMessage()
    message["From"] = _address(shop, "Sliceline")
    message["To"] = _address(recipient)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    return message


def _address(given: str, name: str = "") -> Address:
    """Out of its parts. Some Pythons parse those again and decode what they find: `is_email` lets nothing in."""
    local_part, _, domain = given.rpartition("@")
    return Address(name, local_part, domain)


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
