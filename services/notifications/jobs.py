"""Sends the mails.

One may be handed over twice when an answer is lost; its Message-ID is the same then.
"""

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib
import msgspec

from backbone.context import Context
from backbone.jobs.work import AT_ONCE, Done, Job, Postpone, Work, renew
from backbone.running.gather_or_cancel import gather_or_cancel
from backbone.running.hurry import hurried
from backbone.running.retry import RetryPolicy
from backbone.sealing.sealing import KeysAway, Sealing
from backbone.storage.database import Tx
from backbone.values.sealed import FORGOTTEN
from backbone.values.texts import is_email, one_line
from services.notifications import store
from services.notifications.decisions import NO_ADDRESS, SEND
from services.notifications.settings import Settings
from services.notifications.store import Queued

# Of each step of the conversation, of a whole one, and of the mails of one flush: a job may wait for the flush before
# its own, each may end with a last conversation, and all that has to fit into its lease of a minute.
STEP_SECONDS = 8.0
HAND_OVER_SECONDS = 16.0
FLUSH_SECONDS = 10.0
LASTING = timedelta(seconds=2 * HAND_OVER_SECONDS)
"""What is left of a job's lease, at least, when its mail is handed over."""
WORTH_A_CONNECTION = 20
MOST_HELPERS = 3
"""Connections beside the first; few, for mail servers count their clients' connections."""
LAST_SECONDS = 4.0
"""What the mail in hand has when the process stops: then those before it have not been handed over in vain."""
THE_RECIPIENT = "the recipient"
GONE = "The customer was forgotten."
PATIENCE = RetryPolicy(first=timedelta(seconds=2), longest=timedelta(minutes=15), within=timedelta(days=3))


class Sent(msgspec.Struct, frozen=True):
    """Tells that the mail server took the mail."""

    recipient: str


class Failed(msgspec.Struct, frozen=True):
    """Tells that no mail server will ever deliver the mail."""

    reason: str


class Ignored(msgspec.Struct, frozen=True):
    """Tells that there is nobody any more whom the mail is for."""

    reason: str


Outcome = Sent | Failed | Ignored | None


async def send(job: Job, context: Context[Settings]) -> Outcome:
    """Hand one mail to the mail server.

    What passes (no connection, a 4xx) is raised, to be tried again for days.
    """
    return await context.coalesce(_send_all).submit(job)


@dataclass(frozen=True)
class _Flush:
    """Holds the mails of one moment: their jobs, those that wait to be handed over, and what came of each so far."""

    context: Context[Settings]
    jobs: Mapping[str, Job]
    mails: Mapping[str, Queued]
    over: float
    waiting: deque[str]
    outcomes: dict[str, Outcome | Exception] = field(default_factory=dict)

    def has_more(self) -> bool:
        """Tell whether there is a mail that may still be handed over."""
        is_over = self.context.stopping.is_set() or asyncio.get_running_loop().time() > self.over
        return bool(self.waiting) and not is_over

    def fail(self, error: Exception) -> None:
        """Note an error that concerns all who wait."""
        self.outcomes.update(dict.fromkeys(self.waiting, error))
        self.waiting.clear()

    def outcome(self, name: str) -> Outcome | Exception:
        """Return what came of a mail; None when it is not queued any more.

        One that was not tried is put off, at a stop to the next start.
        """
        if name not in self.mails:
            return None
        later = AT_ONCE if self.context.stopping.is_set() else timedelta(seconds=1)
        return self.outcomes.get(name, Postpone(later))


async def _send_all(context: Context[Settings], jobs: Sequence[Job]) -> Sequence[Outcome | Exception]:
    """Send what is due at the same moment, over a few connections when it is much."""
    names = [job.key for job in jobs]
    mails = await store.find_queued(context.database, names)
    await context.sealing.look_up(mail.recipient for mail in mails.values() if mail.recipient)
    over = asyncio.get_running_loop().time() + FLUSH_SECONDS
    flush = _Flush(context, dict(zip(names, jobs, strict=True)), mails, over, deque(mails))
    helpers = min(len(mails) // WORTH_A_CONNECTION, MOST_HELPERS)
    await gather_or_cancel(_send_while_waiting(flush), *(_help(flush) for _ in range(helpers)))
    return [flush.outcome(name) for name in names]


async def _send_while_waiting(flush: _Flush) -> None:
    """Hand over mails over one connection after the other.

    What breaks one ends it and concerns the mail it met; when none is to be had, it concerns all
    who wait.
    """
    try:
        while flush.has_more():
            await _send_over_one_connection(flush)
    except (aiosmtplib.SMTPException, OSError) as error:  # its TimeoutErrors are OSErrors
        if not flush.context.stopping.is_set():
            flush.fail(error)


async def _help(flush: _Flush) -> None:
    """Hand over mails over one connection more, if the server grants it."""
    with suppress(aiosmtplib.SMTPException, OSError):
        await _send_over_one_connection(flush)


async def _send_over_one_connection(flush: _Flush) -> None:
    """Hand over mails one by one, as long as the connection holds. Raises when there is none to be had."""
    settings, stopping = flush.context.settings, flush.context.stopping
    server = aiosmtplib.SMTP(hostname=settings.smtp_host, port=settings.smtp_port, timeout=STEP_SECONDS)
    try:
        async with hurried(STEP_SECONDS, stopping, LAST_SECONDS):
            await server.connect()
        while flush.has_more():
            name = flush.waiting.popleft()
            flush.outcomes[name] = await _hand_over(flush, name, server)
            if not server.is_connected:  # some servers hang up with a refusal
                return
    finally:
        await _hang_up(server)


async def _hand_over(flush: _Flush, name: str, server: aiosmtplib.SMTP) -> Outcome | Exception:
    """Hand over one mail, and close the connection when it is of no use any more."""
    try:
        await renew(flush.context.database, flush.jobs[name], LASTING)
        async with hurried(HAND_OVER_SECONDS, flush.context.stopping, LAST_SECONDS):
            return await _converse(server, flush.mails[name], flush.context)
    except OSError as error:
        server.close()
        return error
    except Exception as error:
        return error


async def _converse(server: aiosmtplib.SMTP, mail: Queued, context: Context[Settings]) -> Outcome | Exception:
    """Send one mail over an open connection. Raises OSError when that is of no use any more."""
    shop = context.settings.shop_email
    try:
        shown = await _opened(mail, context.sealing)
    except KeysAway as away:  # of no concern to the mail server
        return away
    recipient = shown.recipient or shop
    if recipient == FORGOTTEN:
        return Ignored(GONE)
    if not is_email(recipient):  # written down by a release that knew less about addresses
        return Failed(NO_ADDRESS)
    outcome = await _send_over(server, shown, recipient, shop)
    return Sent(mail.recipient or shop) if outcome is None else _without(outcome, recipient)


async def _send_over(server: aiosmtplib.SMTP, mail: Queued, recipient: str, shop: str) -> Failed | Exception | None:
    """Hand a mail to the server; return what it has against it, or None."""
    try:
        await server.send_message(letter(mail, recipient, shop), sender=shop, recipients=[recipient])
    except OSError:
        raise
    except aiosmtplib.SMTPException as error:
        reason = refusal(error)
        return Failed(reason) if reason else error
    except Exception as error:  # an address that the parser of headers cannot take apart; others share the connection
        return Failed(f"This mail cannot be written: {type(error).__name__}: {error}")
    return None


async def _opened(mail: Queued, sealing: Sealing) -> Queued:
    """Return the mail as it is sent, with all that is sealed in it opened. Raises KeysAway."""
    recipient = await sealing.opened(mail.recipient) if mail.recipient else None
    subject, body = await sealing.opened(mail.subject), await sealing.opened(mail.body)
    return mail._replace(recipient=recipient, subject=one_line(subject), body=body)


def _without(outcome: Failed | Exception, recipient: str) -> Failed | Exception:
    """Leave out of what a server says whom it is about: that is stored and logged, and neither holds an address.

    It may write the address in letters of its own, or tell a part of it.
    """
    parts = "|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in recipient.rpartition("@")[::2] if each)
    about = re.compile(rf"{re.escape(recipient)}|[^\s<>]+@[^\s<>]+|{parts}", re.IGNORECASE)

    def without(said: str) -> str:
        return about.sub(THE_RECIPIENT, said)

    if isinstance(outcome, Failed):
        return Failed(without(outcome.reason))
    if isinstance(outcome, aiosmtplib.SMTPRecipientsRefused):
        refused = [(each.code, without(each.message), THE_RECIPIENT) for each in outcome.recipients]
        return aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(*each) for each in refused])
    outcome.args = tuple(without(each) if isinstance(each, str) else each for each in outcome.args)
    return outcome


async def _hang_up(server: aiosmtplib.SMTP) -> None:
    """Take leave and close the connection.

    A server that is slow even in that is not waited for: what it took, it has.
    """
    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(1):
            if server.is_connected:
                await server.quit()
    server.close()


def letter(mail: Queued, recipient: str, shop: str) -> EmailMessage:
    """Write a plain-text mail.

    EmailMessage refuses a line break in a header, should one ever get this far.
    """
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
    """Make an address out of its parts.

    Some Pythons parse those again and decode what they find: `is_email` lets nothing in.
    """
    local_part, _, domain = given.rpartition("@")
    return Address(name, local_part, domain)


def refusal(error: aiosmtplib.SMTPException) -> str | None:
    """Return why this mail can never be delivered, or None when it may be later.

    A 5xx for its recipient or its content is for ever.
    """
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
    ignored = {name: outcome.reason for name, outcome in outcomes.items() if isinstance(outcome, Ignored)}
    told = await store.settle_all(tx, sent, failed, ignored)
    for each in done:
        if payloads := told.get(each.job.key):
            tx.publish(*payloads, key=each.job.key, cause=each.cause)


def give_up(_: Job) -> Outcome:
    """Return what is noted of a mail that could not be sent for days."""
    return Failed("The mail server did not take it for three days.")


JOBS: Mapping[str, Work[Settings]] = {
    SEND: Work(send, settle, PATIENCE, concurrency=64, exhausted=give_up, repeatable=False)
}
