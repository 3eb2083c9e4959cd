"""Tells browsers what not to do with our answers, and does nothing that a page of elsewhere has them ask for."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backbone.http.problems import SAFE, Problem

TOLD = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "base-uri 'none'; frame-ancestors 'none'; object-src 'none'"),
)
"""What every answer says; a page may say more of itself, as policies add up."""
UNKEPT = (b"cache-control", b"no-store")


class Unkept:
    """ASGI: lets neither browsers nor proxies keep an answer that does not say how long they may."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add `no-store` where the answer has no Cache-Control."""

        async def send_unkept(message: Message) -> None:
            if message["type"] == "http.response.start" and "cache-control" not in Headers(raw=message["headers"]):
                message = {**message, "headers": [*message["headers"], UNKEPT]}
            await send(message)

        await self.app(scope, receive, send_unkept)


class OwnPages:
    """ASGI: refuses to change anything for a page whose origin is neither ours nor named.

    Before browsers send JSON for a page of elsewhere they ask us (a preflight), but not before a POST without a body.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through what comes from no page, or from one that may. Raises Problem 403."""
        if scope["type"] == "http" and scope["method"] not in SAFE:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and not self._may(origin, headers.get("host")):
                detail = "A page of this origin may change nothing here, unless SLICELINE_CORS_ORIGINS names it."
                raise Problem(403, "Foreign page", detail, field="Origin")
        await self.app(scope, receive, send)

    def _may(self, origin: str, host: str | None) -> bool:
        return origin in self._origins or "*" in self._origins or origin.partition("://")[2] == (host or None)
