"""What is refused before a route is looked for: too many requests at once, and text that nobody can keep."""

from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backbone.http.bodies import text_objection
from backbone.http.problems import Problem, instance_of, malformed
from backbone.http.wording import field_name


class InFlight:
    """ASGI: at most `most` requests at once; more are answered 429 at once instead of all becoming slow.

    Health, metrics and the backlog always pass. An event stream counts until it has begun: it waits, it does not work.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most
        self.count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem 429 when full."""
        if scope["type"] != "http" or scope["path"].startswith(("/health/", "/metrics", "/backlog")):
            await self.app(scope, receive, send)
            return
        if self.count >= self.most:
            detail = f"{self.most} requests are being worked on. Send it again in a moment."
            raise Problem(429, "Too many requests", detail, headers={"Retry-After": "1"})
        await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.count += 1
        counted = True

        def leave() -> None:
            nonlocal counted
            self.count -= counted
            counted = False

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and is_stream(message):
                leave()
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            leave()


class Targets:
    """ASGI: path and query must be UTF-8 once percent-decoded, and without NUL."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem 400."""
        if scope["type"] == "http":
            if "%" in (path := instance_of(scope)):
                _check("path", path.encode())
            if b"%" in scope["query_string"]:
                for pair in scope["query_string"].split(b"&"):
                    _check(unquote_to_bytes(pair.split(b"=")[0]).decode("utf-8", "replace"), pair)
        await self.app(scope, receive, send)


def is_stream(start: Message) -> bool:
    """Whether a response that starts is a stream of server-sent events."""
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
