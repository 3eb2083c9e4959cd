"""SMTP on 1025; the messages, newest first, as JSON on 8025 in the shape of Mailpit's own API."""

import email
import email.policy
import json
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

EVERYWHERE = "0.0.0.0"  # noqa: S104 (of a container)
messages: list[dict[str, Any]] = []


class Inbox:
    """Takes what SMTP brings."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        content = envelope.original_content or b""
        message = email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
        body = message.get_body(("plain", "html"))
        messages.insert(
            0,
            {
                "ID": str(len(messages) + 1),
                "MessageID": message["Message-ID"] or "",
                "Subject": message["Subject"] or "",
                "From": _address(envelope.mail_from),
                "To": [_address(each) for each in envelope.rcpt_tos],
                "Text": body.get_content() if body else "",
                "Size": len(content),
            },
        )
        return "250 Message accepted"


class Api(BaseHTTPRequestHandler):
    """Shows what came."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        found = next((each for each in messages if path == f"/api/v1/message/{each['ID']}"), None)
        if path in ("/livez", "/readyz"):
            self._answer({})
        elif path == "/api/v1/messages":
            self._answer({"total": len(messages), "count": len(messages), "messages": messages})
        elif found:
            self._answer(found)
        else:
            self.send_error(404)

    def do_DELETE(self) -> None:
        messages.clear()
        self._answer({})

    def log_message(self, *_: Any) -> None:
        """Be quiet about requests."""

    def _answer(self, document: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())


def _address(address: str | None) -> dict[str, str]:
    return {"Name": "", "Address": address or ""}


if __name__ == "__main__":
    Controller(Inbox(), hostname=EVERYWHERE, port=1025).start()
    ThreadingHTTPServer((EVERYWHERE, 8025), Api).serve_forever()
