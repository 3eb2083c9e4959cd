"""Lets pages of named origins use the API from a browser: cross-origin requests, as the Fetch standard has them."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backbone.http.answers import CORRELATION
from backbone.http.commands import REPLAYED
from backbone.http.doors import AUTHORIZATION
from backbone.http.keys import KEY

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SENT = (AUTHORIZATION, "Content-Type", KEY, CORRELATION, "Last-Event-ID", "traceparent", "tracestate")
_SHOWN = ("Location", "Retry-After", "Allow", "WWW-Authenticate", CORRELATION, REPLAYED)


class Cors(CORSMiddleware):
    """ASGI: lets pages of these origins read every answer, refusals included. Cookies are nothing to us."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(app, allow_origins=origins, allow_methods=_METHODS, allow_headers=_SENT, expose_headers=_SHOWN)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer 204 in any case: what is not allowed is not named, so that the browser itself refuses it."""
        told = super().preflight_response(request_headers).headers
        said = {name: value for name, value in told.items() if not name.startswith("content-")}
        return Response(status_code=204, headers=said)


class Shown(Cors):
    """ASGI: lets pages of these origins read the answer to any request, also a refused preflight's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the page's origin in the answer when it is an allowed one."""
        if self.allow_origins:
            await self.simple_response(scope, receive, send, request_headers=Headers(scope=scope))
        else:
            await self.app(scope, receive, send)
