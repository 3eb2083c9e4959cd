"""Answers HTTP/1.0, which knows no chunks: an answer of unknown length ends with its connection (RFC 9112 6.1)."""

from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def unframed(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """Make the application for one request of HTTP/1.0: its answer goes out as it is, whatever its length."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_open = False

        async def send_plain(message: Message) -> None:
            nonlocal is_open
            if message["type"] == "http.response.start":
                is_open = all(name.lower() != b"content-length" for name, _ in message["headers"])
                cycle.chunked_encoding = False if is_open else None
            elif is_open:
                cycle.expected_content_length = len(message.get("body", b""))  # what uvicorn would count down
            await send(message)

        await cast(ASGIApp, app)(scope, receive, send_plain)

    return cast(ASGI3Application, answer)
