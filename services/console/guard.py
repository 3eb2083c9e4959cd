"""Says to browsers what they may do with the console's pages, and refuses what pages of elsewhere have them ask for."""

from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backbone.http.browsers import OwnPages
from backbone.http.problems import SAFE, Problem
from services.console.settings import ConsoleSettings


class Guarded:
    """ASGI: says what browsers may do with a page, sends them to the one address, and refuses pages of elsewhere."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings) -> None:
        self._app = OwnPages(app, origins=())
        self._url = settings.console_url.rstrip("/")
        self._host = _plain(urlsplit(self._url).netloc)
        form = " ".join(["'self'", *([_origin(settings.issuer)] if settings.issuer else [])])
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            f"form-action {form}; frame-ancestors 'none'; base-uri 'none'"
        )
        self._told = [
            (b"content-security-policy", policy.encode()),
            # The last one counts. With the one of our servers a browser would not say that a form is of our own page.
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with these headers. A name that is not ours may be somebody else's page that points here."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._told]}
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            answer = self._elsewhere(scope)
            await (answer or self._app)(scope, receive, told)
        except Problem as problem:
            text = f"{problem.title}. {problem.detail}"
            await PlainTextResponse(text, problem.status, problem.headers)(scope, receive, told)

    def _elsewhere(self, scope: Scope) -> Response | None:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if _plain(host) == self._host or scope["path"].startswith("/health/"):
            return None
        if scope["method"] not in SAFE:
            return PlainTextResponse(f"Ask {self._url}: nothing is changed under the name {host!r}.", 421)
        query = scope["query_string"].decode("latin-1")
        return RedirectResponse(f"{self._url}{scope['path']}{'?' + query if query else ''}", 307)


def _plain(host: str) -> str:
    """Write a host as browsers may: in lower case, the usual port left out."""
    return host.lower().removesuffix(":443").removesuffix(":80")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
