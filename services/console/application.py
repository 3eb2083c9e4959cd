"""Makes the console's application: routes from pages, who is logged in, and what browsers are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import htpy as h
import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from backbone.http.browsers import Unkept
from backbone.identity.issuer_keys import IssuerAway
from backbone.observing.logs import logger
from services.console import assets, elements, live
from services.console.asking import Ask, MayNot, NotLoggedIn, Refused, Services, Unanswered
from services.console.elements import WRONG, address, notice
from services.console.guard import Guarded
from services.console.login import BACK, Login, NotLetIn
from services.console.pages import ALL
from services.console.routing import Act, Give, Pages, Part, View
from services.console.session import ANYBODY, Seal, Session
from services.console.settings import ConsoleSettings
from services.console.shell import Page, document
from services.console.wording import is_id

COOKIE, BEGUN = "sliceline", "sliceline-login"
LARGEST_FORM = 2_000_000
MOST_FIELDS = 2_000
DOCUMENTS = ("data", "pattern", "sample", "targets")
"""Fields that hold JSON: it is shown again as it was typed."""
SEE_OTHER = 303
Handler = Callable[[Request], Awaitable[Response]]


class Console:
    """Answers requests for pages."""

    def __init__(self, settings: ConsoleSettings, http: httpx.AsyncClient, services: Services, pages: Pages) -> None:
        self.settings = settings
        self.services = services
        self.feeds = live.Feeds()
        self._pages = pages
        self._http = http
        self._login = Login(settings, http, Seal(settings.identity_key_file)) if settings.issuer else None
        self._is_secret = urlsplit(settings.console_url).scheme == "https"

    def routes(self) -> list[Route]:
        """List the routes, pages and what is beside them."""
        pages = self._pages
        return [
            Route("/static/{digest}/{name}", assets.serve),
            Route("/health/live", _health),
            Route("/health/ready", _health),
            Route("/login", self._answering(self._begin)),
            Route(BACK, self._answering(self._end)),
            Route("/logout", self._answering(self._leave), methods=["POST"]),
            Route("/enter", self._entering),
            Route("/enter", self._ticket, methods=["POST"]),
            *(Route(f"/live{path}", self._following(*each)) for path, each in pages.parts.items()),
            *(Route(path, self._answering(self._giving(*each))) for path, each in pages.files.items()),
            *(Route(path, self._answering(self._showing(view))) for path, view in pages.views.items()),
            *(Route(path, self._answering(self._doing(*each)), methods=["POST"]) for path, each in pages.acts.items()),
        ]

    async def session(self, request: Request) -> Session | None:
        """Return who asks; None where nobody is logged in, or nobody can be asked whether he is."""
        if self._login is None:
            return ANYBODY
        try:
            return await self._login.of_cookie(request.cookies.get(COOKIE))
        except IssuerAway:
            return None

    async def aclose(self) -> None:
        """End what goes on, and close all connections."""
        self.feeds.stop()
        if self._login is not None:
            await self._login.aclose()
        await self._http.aclose()

    def _showing(self, view: View) -> Callable[[Ask], Awaitable[Response]]:
        async def show(ask: Ask) -> Response:
            if not view.is_open:
                ask.need(*view.scopes)
            return self._shown(await view.show(ask), ask, view)

        return show

    def _giving(self, give: Give, scopes: tuple[str, ...]) -> Callable[[Ask], Awaitable[Response]]:
        async def answer(ask: Ask) -> Response:
            ask.need(*scopes)
            file = await give(ask)
            return PlainTextResponse(file.text, headers={"Content-Disposition": f'attachment; filename="{file.name}"'})

        return answer

    def _doing(self, act: Act, scopes: tuple[str, ...]) -> Callable[[Ask], Awaitable[Response]]:
        async def do(ask: Ask) -> Response:
            ask.need(*scopes)
            return self._shown(await act(ask), ask, self._pages.views.get(ask.address.partition("?")[0]))

        return do

    def _shown(self, page: Page | str, ask: Ask, view: View | None) -> Response:
        """Answer with a page, kept fresh where the one at its address is; or lead to another address."""
        if isinstance(page, str):
            return RedirectResponse(page, SEE_OTHER)
        if view is not None and view.is_live:
            page = replace(page, body=elements.live(f"/live{ask.address}", page.body))
        return self._page(page, ask)

    def _following(self, part: Part, scopes: tuple[str, ...], personal: bool) -> Handler:
        """Make the stream of a live part. Who is not let in is told so in it: a browser comes again otherwise."""

        async def look(ask: Ask) -> str:
            return str(h.fragment[await part(ask)])

        async def follow(request: Request) -> Response:
            ask = await self._ask(request)
            if not ask.may(*scopes) if scopes else ask.session is None:
                return _stream(_gone())
            try:
                response = _stream(self.feeds.follow(ask, look, personal))
            except live.TooMany as error:
                return PlainTextResponse(str(error), 503, {"Retry-After": "10"})
            self._renew_cookie(ask, response)
            return response

        return follow

    def _answering(self, answer: Callable[[Ask], Awaitable[Response]]) -> Handler:
        """Answer with a page whatever happens."""

        async def handle(request: Request) -> Response:
            ask = await self._ask(request)
            try:
                response = await answer(ask)
            except NotLoggedIn:
                response = self._to_login(ask, request)
            except MayNot as refused:
                response = self._page(_not_for(ask, refused), ask)
            except Refused as refused:
                response = self._page(_unfinished(refused, ask, request), ask)
            except (NotLetIn, IssuerAway) as refused:
                response = self._page(_not_in(str(refused)), ask)
            except HTTPException:
                raise
            except Exception:  # here, and not outside of all: so that it is a page, with all that each page says
                logger.exception("a page failed", action="page-failed", page=ask.address)
                response = self._page(_failing(), ask)
            self._renew_cookie(ask, response)
            return response

        return handle

    async def _ask(self, request: Request) -> Ask:
        path = request.url.path.removeprefix("/live")
        place = f"{path}?{request.url.query}" if request.url.query else path
        form = await _form(request) if request.method == "POST" else {}
        session = await self.session(request)
        query = dict(request.query_params)
        home = self.settings.console_url.rstrip("/")
        return Ask(session, self.services, request.path_params, query, form, request.cookies, place, home)

    def _page(self, page: Page, ask: Ask) -> Response:
        return HTMLResponse(str(document(page, ask, self._pages.sections)), page.status)

    def _to_login(self, ask: Ask, request: Request) -> Response:
        if request.method != "GET":
            return self._page(_over(), ask)
        return RedirectResponse(address("/login", {"to": ask.address}), SEE_OTHER)

    async def _begin(self, ask: Ask) -> Response:
        if self._login is None:
            return RedirectResponse("/", SEE_OTHER)
        to = ask.query.get("to", "/")
        where, kept = await self._login.begin(to if _is_ours(to) else "/")
        response = RedirectResponse(where, SEE_OTHER)
        self._keep(response, BEGUN, kept, path="/login", lax=True)
        return response

    async def _end(self, ask: Ask) -> Response:
        if self._login is None:
            return RedirectResponse("/", SEE_OTHER)
        session, to = await self._login.end(ask.query, ask.cookies.get(BEGUN))
        return self._logged_in(session, to)

    async def _entering(self, request: Request) -> Response:
        """Let nobody in whom a page of elsewhere sends, as somebody whom that one chose; looking ahead uses nothing."""
        if request.method != "GET":
            return PlainTextResponse("Open it in a browser.", 405, {"Allow": "GET"})
        if request.headers.get("sec-fetch-site") == "cross-site":
            text = (
                "Another page has led here. If you want to be logged in by this address, copy it and open it yourself."
            )
            return self._page(Page("Not logged in", notice(text, WRONG), status=403), await self._ask(request))
        return await self._answering(self._enter)(request)

    async def _enter(self, ask: Ask) -> Response:
        """Log in whoever comes with an address that was made for it."""
        session = await self._login.of_ticket(ask.query.get("ticket", "")) if self._login else ANYBODY
        if session is None:
            raise NotLetIn("This address logs nobody in any more. ./sliceline browse makes another; or log in by hand.")
        to = ask.query.get("to", "/")
        return self._logged_in(session, to if _is_ours(to) else "/")

    async def _ticket(self, request: Request) -> Response:
        """Make such an address for whoever is logged in: the command line is, for a browser that is not yet."""
        url = self.settings.console_url.rstrip("/")
        if self._login is None:
            return JSONResponse({"url": f"{url}/"})
        session = await self.session(request)
        if session is None:
            return JSONResponse({"title": "Not logged in", "status": 401}, 401)
        return JSONResponse({"url": f"{url}/enter?ticket={self._login.ticket(session)}"})

    async def _leave(self, ask: Ask) -> Response:
        """Forget who it is, and have the issuer do so."""
        if self._login is not None and ask.session is not None:
            self.feeds.leave(ask.session.name)
            await self._login.end_for_good(ask.session)
        response = RedirectResponse("/", SEE_OTHER)
        response.delete_cookie(COOKIE)
        return response

    def _logged_in(self, session: Session, to: str) -> Response:
        # By a page of ours, not by a redirect: what an address elsewhere has led to, a strict cookie is not sent with.
        icon = h.link(rel="icon", href=assets.url("slice.svg"), type="image/svg+xml")
        onward = h.meta(http_equiv="refresh", content=f"0;url={to}")
        page = h.html(lang="en")[h.head[h.title["Logged in"], icon, onward], h.body[h.a(href=to)["Go on"]]]
        response = HTMLResponse(str(page))
        if self._login is not None:
            self._keep(response, COOKIE, self._login.cookie(session))
        response.delete_cookie(BEGUN, path="/login")
        return response

    def _renew_cookie(self, ask: Ask, response: Response) -> None:
        """Have the browser keep a session that was renewed."""
        if self._login and ask.session and ask.session.is_renewed and "set-cookie" not in response.headers:
            self._keep(response, COOKIE, self._login.cookie(ask.session))

    def _keep(self, response: Response, name: str, value: str, *, path: str = "/", lax: bool = False) -> None:
        response.set_cookie(
            name, value, httponly=True, secure=self._is_secret, samesite="lax" if lax else "strict", path=path
        )


def create_application(settings: ConsoleSettings, http: httpx.AsyncClient, services: Services) -> Starlette:
    """Make the application of all pages."""
    console = Console(settings, http, services, ALL)
    application = Starlette(
        routes=console.routes(),
        middleware=[Middleware(Unkept), Middleware(Guarded, settings=settings)],
        exception_handlers={HTTPException: _failed(console), Exception: _failed(console)},
    )
    application.state.console = console
    return application


def refusal(refused: Refused) -> Page:
    """Make the page of what a service has refused."""
    answered = None if isinstance(refused, Unanswered) else h.p[f"{refused.service} answered {refused.status}."]
    return Page(refused.title, [notice(refused.detail or refused.title, WRONG), answered], status=refused.status)


def _unfinished(refused: Refused, ask: Ask, request: Request) -> Page:
    """Make the page of what a service has refused; of a form also what became of it, and what was typed into it."""
    if request.method != "POST":
        return refusal(refused)
    page = refusal(refused.saying(ask.outcome))
    back = urlsplit(request.headers.get("referer", ""))
    to = f"{back.path}?{back.query}" if back.query else back.path
    sent = {name: value for name, value in ask.form.items() if value and not is_id(value)}
    rest = [
        sent and [h.h2["What was sent"], h.dl(".state")[([h.dt[name], h.dd[value]] for name, value in sent.items())]],
        h.p[h.a(href=to)["Back to the form"]] if _is_ours(to) else None,
    ]
    return replace(page, body=[page.body, rest])


def _failed(console: Console) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        session = await console.session(request) if status != 500 else None
        ask = Ask(session, console.services, address=request.url.path)
        title = {
            400: "This form cannot be read",
            404: "There is no such page",
            405: "This is not done so",
            413: "That is too much",
        }
        if status == 500:
            return console._page(_failing(), ask)
        body = h.p["The address may be mistyped. ", h.a(href="/")["To the first page"]]
        return console._page(Page(title.get(status, "This is refused"), body, status=status), ask)

    return answer


async def _form(request: Request) -> dict[str, str]:
    """Read what a form sends, without blanks around it: keyboards of phones put one after a word they know.

    Raises HTTPException where it is too much, or none.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise HTTPException(413)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(400) from None
    return {name: value if name in DOCUMENTS else value.strip() for name, value in fields}


def _failing() -> Page:
    text = "This page fails. What happened is in the console's log: ./sliceline logs console"
    return Page("This page fails", notice(text, WRONG), status=500)


def _stream(events: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _gone() -> AsyncIterator[bytes]:
    yield b"event: gone\ndata: gone\n\n"
    await asyncio.sleep(30)  # who comes again at once would only be told the same


def _not_for(ask: Ask, refused: MayNot) -> Page:
    who = ask.session.name if ask.session else "nobody"
    body = [
        notice(f"{who} may not see or do this: it takes {' or '.join(refused.scopes)}.", WRONG),
        h.p[h.a(href=address("/login", {"to": ask.address}))["Log in as somebody else"]],
    ]
    return Page("This is for others", body, ("./sliceline token --as operator",), status=403)


def _not_in(why: str) -> Page:
    body = [notice(why, WRONG), h.p[h.a(href="/login")["Log in"]]]
    return Page("Not logged in", body, ("./sliceline browse --as operator",), status=401)


def _over() -> Page:
    body = [
        notice("You are not logged in any more, so nothing was done.", WRONG),
        h.p["Log in, go back and send it again. ", h.a(href="/login")["Log in"]],
    ]
    return Page("Not logged in", body, status=401)


def _is_ours(to: str) -> bool:
    """Tell whether an address leads to a page of ours, and nowhere else."""
    return to.startswith("/") and not to.startswith(("//", "/\\")) and not any(each < " " for each in to)


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})
