"""A mail server that delivers to nobody: SMTP in; out as a page for people and in Mailpit's JSON shape."""

import asyncio
import contextlib
import logging
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from functools import cached_property
from html import escape
from itertools import islice
from typing import Annotated, Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, Query, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from sandbox.problems import Problem, answer_problems
from sandbox.serving import Arguments, Server, log_to_stderr, port

log = logging.getLogger("mail")
KEPT = 100_000
LARGEST = 1_048_576
SHOWN = 200


@dataclass(frozen=True)
class Mail:
    """Holds one message as received; `message_id` without angle brackets, as Mailpit gives it."""

    id: str
    message_id: str
    subject: str
    sender: dict[str, str]
    to: list[dict[str, str]]
    created: str
    size: int
    text: str

    def summary(self) -> dict[str, Any]:
        return {
            "ID": self.id,
            "MessageID": self.message_id,
            "Subject": self.subject,
            "From": self.sender,
            "To": self.to,
            "Created": self.created,
            "Size": self.size,
            "Snippet": " ".join(self.text.split())[:250],
        }

    def whole(self) -> dict[str, Any]:
        return self.summary() | {"Date": self.created, "Text": self.text}


@dataclass(frozen=True)
class Received:
    """Holds a message as it came. It is read when somebody looks: reading costs more than receiving."""

    raw: bytes
    sender: str
    recipients: list[str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    @cached_property
    def mail(self) -> Mail:
        """Read the message; what Python's parser of headers breaks at is shown as it came."""
        try:
            return read_mail(self)
        except Exception as error:
            sender, to = ({"Name": "", "Address": each} for each in (self.sender, ", ".join(self.recipients)))
            text = self.raw.decode("utf-8", "replace")
            return Mail(self.id, "", f"(unreadable: {error!r})", sender, [to], self.at, len(self.raw), text)


class Inbox:
    """Holds the last KEPT mails. aiosmtpd calls its `handle_DATA` for each message."""

    def __init__(self) -> None:
        self._mails: dict[str, Received] = {}

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = Received(raw, envelope.mail_from or "", envelope.rcpt_tos)
        self._mails[mail.id] = mail
        if len(self._mails) > KEPT:
            del self._mails[next(iter(self._mails))]
        return "250 Message accepted"

    def __len__(self) -> int:
        return len(self._mails)

    def newest(self, start: int, limit: int) -> list[Mail]:
        return [each.mail for each in islice(reversed(self._mails.values()), start, start + limit)]

    def get(self, mail_id: str) -> Mail | None:
        received = self._mails.get(mail_id)
        return received.mail if received else None

    def clear(self) -> None:
        self._mails.clear()


def read_mail(received: Received) -> Mail:
    """Read a message. Addresses are the headers'; where a header is missing, those of the SMTP envelope."""
    message = message_from_bytes(received.raw, EmailMessage, policy=policy.default)
    return Mail(
        id=received.id,
        message_id=str(message["Message-ID"] or "").strip().strip("<>"),
        subject=str(message["Subject"] or ""),
        sender=_addresses(message["From"], [received.sender])[0],
        to=_addresses(message["To"], received.recipients),
        created=received.at,
        size=len(received.raw),
        text=_text(message),
    )


def _addresses(header: object, otherwise: list[str]) -> list[dict[str, str]]:
    found = getaddresses([str(header)]) if header else []
    pairs = [pair for pair in found if pair[1]] or [("", address) for address in otherwise]
    return [{"Name": name, "Address": address} for name, address in pairs]


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain", "html"))
    if body is None:
        return ""
    try:
        return str(body.get_content())
    except LookupError:  # a charset that Python does not know
        payload = body.get_payload(decode=True)
        return payload.decode("ascii", "replace") if isinstance(payload, bytes) else ""


class Connection(SMTP):
    """Serves one SMTP client; `open_now` holds those that are connected, so that stopping need not wait for them."""

    def __init__(self, inbox: Inbox, open_now: set["Connection"]) -> None:
        super().__init__(
            inbox,
            data_size_limit=LARGEST,
            enable_SMTPUTF8=True,
            hostname="sandbox",
            loop=asyncio.get_running_loop(),
        )
        self._open_now = open_now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_now.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_now.discard(self)
        super().connection_lost(error)


@contextlib.asynccontextmanager
async def smtp_server(inbox: Inbox, host: str, port: int) -> AsyncIterator[None]:
    """Receive mail into `inbox` while the block runs. Raises OSError when the port is taken."""
    open_now: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(inbox, open_now), host, port)
    try:
        yield
    finally:
        server.close()
        for connection in list(open_now):
            if connection.transport:
                connection.transport.close()


def create_app(inbox: Inbox) -> FastAPI:
    app = FastAPI(title="Sandbox mail")
    answer_problems(app)

    @app.get("/api/v1/messages")
    async def messages(
        start: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=0, le=KEPT)] = 50
    ) -> dict[str, Any]:
        page = [mail.summary() for mail in inbox.newest(start, limit)]
        return {"total": len(inbox), "messages_count": len(inbox), "start": start, "messages": page}

    @app.get("/api/v1/message/{mail_id}")
    async def message(mail_id: str) -> dict[str, Any]:
        mail = inbox.get(mail_id)
        if mail is None:
            raise Problem(404, "unknown", f"There is no message {mail_id}.")
        return mail.whole()

    @app.delete("/api/v1/messages")
    async def delete_all() -> Response:
        inbox.clear()
        return PlainTextResponse("ok")

    @app.get("/livez")
    @app.get("/readyz")
    async def health() -> Response:
        return PlainTextResponse("ok")

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(render(inbox))

    return app


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Mail</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
 details {{ border-bottom: 1px solid #ddd; padding: .5rem 0 }} summary {{ cursor: pointer }}
 small {{ color: #555 }}
 pre {{ white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f6; padding: 1rem }}
</style>
<h1>Mail</h1><p>{count} received, newest first. Reload the page for more.</p>
{mails}</html>"""

ONE_MAIL = "<details><summary><b>{subject}</b> to {to} <small>{created}</small></summary><pre>{text}</pre></details>"


def render(inbox: Inbox) -> str:
    """Write the newest mails as a page; a click opens one."""
    mails = "\n".join(_render_mail(mail) for mail in inbox.newest(0, SHOWN))
    return PAGE.format(count=len(inbox), mails=mails)


def _render_mail(mail: Mail) -> str:
    to = ", ".join(address["Address"] for address in mail.to)
    return ONE_MAIL.format(
        subject=escape(mail.subject or "(no subject)"),
        to=escape(to),
        created=mail.created[:19].replace("T", " ") + " UTC",
        text=escape(mail.text),
    )


async def serve(host: str, smtp_port: int, http_port: int) -> None:
    inbox = Inbox()
    async with smtp_server(inbox, host, smtp_port):
        log.info("SMTP on %s:%s, read it at http://%s:%s", host, smtp_port, host, http_port)
        await Server(create_app(inbox), host, http_port).serve()


def main() -> None:
    parser = Arguments("sandbox.mail", __doc__)
    parser.setting("--host", "SLICELINE_HOST", "127.0.0.1")
    parser.setting("--smtp-port", "SLICELINE_SMTP_PORT", "1025", port)
    parser.setting("--port", "SLICELINE_MAIL_PORT", "8025", port)
    options = parser.parse_args()
    log_to_stderr()
    try:
        asyncio.run(serve(options.host, options.smtp_port, options.port))
    except OSError as error:
        sys.exit(f"mail: cannot listen on {options.host}:{options.smtp_port}: {error.strerror}")


if __name__ == "__main__":
    main()
