"""Refuses, before a route is looked for, too many requests at once, and text that nobody can keep."""

from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backbone.http.bodies import text_objection
from backbone.http.problems import Problem, instance_of, malformed
from backbone.http.wording import field_name


class InFlight:
    """ASGI: admits `most` requests at a time and answers any more with 429, instead of letting all become slow.

    Health and metrics always pass. An event stream that has begun waits and does not work, so it has a place among the
    `streams` instead, for as long as it lasts.
    """

    def __init__(self, app: ASGIApp, most: int, streams: int) -> None:
        self.app = app
        self.requests = _Places(most, "requests are being worked on", retry_after=1)
        self.streams = _Places(streams, "event streams are open", retry_after=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit the request. Raises Problem 429 when full."""
        if scope["type"] != "http" or scope["path"].startswith(("/health/", "/metrics")):
            await self.app(scope, receive, send)
            return
        self.requests.take()
        held = self.requests

        async def watch(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and is_stream(message):
                self.streams.take()
                held.give_back()
                held = self.streams
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            held.give_back()


class _Places:
    def __init__(self, most: int, what: str, retry_after: int) -> None:
        self._most = most
        self._what = what
        self._retry_after = retry_after
        self._taken = 0

    def take(self) -> None:
        if self._taken >= self._most:
            detail = f"{self._most} {self._what}. Try again in a moment."
            raise Problem(429, "Too many requests", detail, headers={"Retry-After": str(self._retry_after)})
        self._taken += 1

    def give_back(self) -> None:
        self._taken -= 1


class RequestTarget:
    """ASGI: refuses a path or query that is not UTF-8 once percent-decoded, or has a NUL."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a sound target through. Raises Problem 400."""
        if scope["type"] == "http":
            if "%" in (path := instance_of(scope)):
                _check("path", path.encode())
            if b"%" in scope["query_string"]:
                for pair in scope["query_string"].split(b"&"):
                    _check(unquote_to_bytes(pair.split(b"=")[0]).decode("utf-8", "replace"), pair)
        await self.app(scope, receive, send)


def is_stream(start: Message) -> bool:
    """Tell whether a response that starts is a stream of server-sent events."""
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in start["headers"]
    )


def _check(field: str, encoded: bytes) -> None:
    try:
        objection = text_objection(unquote_to_bytes(encoded).decode("utf-8"))
    except UnicodeDecodeError:
        objection = "must be UTF-8 once percent-decoded"
    if objection:
        raise malformed(objection, field_name((field.replace("\x00", "?"),)))
