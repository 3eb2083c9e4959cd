"""Does nothing that a page of elsewhere has a browser ask for."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backbone.http.problems import SAFE, Problem


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
