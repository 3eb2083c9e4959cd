"""Refuses, before a route is looked for, too many requests at once, and text that nobody can keep."""

from collections import Counter
from collections.abc import Hashable
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backbone.http.bodies import text_objection
from backbone.http.problems import instance_of, malformed, too_many
from backbone.http.rates import Rates, held_to
from backbone.http.wording import field_name
from backbone.settings import Settings


class InFlight:
    """ASGI: admits so many requests at a time and answers any more with 429, instead of letting all become slow.

    Health and metrics always pass. An event stream that has begun waits and does not work, so it has a place among the
    streams instead, for as long as it lasts; of these one principal has only some.
    """

    def __init__(self, app: ASGIApp, settings: Settings, rates: Rates) -> None:
        self.app = app
        self.rates = rates
        self.requests = _Places("requests", settings.requests_in_flight, "requests are being worked on", retry_after=1)
        self.streams = _Places(
            "streams", settings.streams, "event streams are open", retry_after=5, of_one=settings.principal_streams
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit the request. Raises Problem 429."""
        if scope["type"] != "http" or scope["path"].startswith(("/health/", "/metrics")):
            await self.app(scope, receive, send)
            return
        self.rates.admit_client(scope)
        self.requests.take()
        held, whose = self.requests, None

        async def watch(message: Message) -> None:
            nonlocal held, whose
            if message["type"] == "http.response.start" and is_stream(message):
                self.streams.take(held_to(scope))
                self.requests.give_back()
                held, whose = self.streams, held_to(scope)
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            held.give_back(whose)


class _Places:
    def __init__(self, limit: str, most: int, what: str, retry_after: int, of_one: int = 0) -> None:
        self._limit = limit
        self._most = most
        self._of_one = of_one
        self._what = what
        self._retry_after = retry_after
        self._taken = 0
        self._taken_by: Counter[Hashable] = Counter()

    def take(self, whose: Hashable = None) -> None:
        """Take a place; whoever has a name has only `of_one`. Raises Problem 429."""
        if self._taken >= self._most:
            self._refuse(self._limit, self._most, "")
        if whose is not None and self._taken_by[whose] >= self._of_one:
            self._refuse(f"principal-{self._limit}", self._of_one, " by one alone")
        self._taken += 1
        self._taken_by[whose] += 1

    def give_back(self, whose: Hashable = None) -> None:
        self._taken -= 1
        self._taken_by[whose] -= 1
        if not self._taken_by[whose]:
            del self._taken_by[whose]

    def _refuse(self, limit: str, most: int, who: str) -> None:
        raise too_many(limit, f"{most} {self._what}{who}. Try again in a moment.", self._retry_after)


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
