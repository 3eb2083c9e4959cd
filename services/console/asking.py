"""Asks the services for somebody who looks at a page, with that one's token."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import quote

import httpx
import msgspec

from backbone.errors import SlicelineError
from backbone.ids import new_id
from services.console.session import Session

CALL_SECONDS = 20.0
_UNAUTHORIZED = 401
_FIRST_REFUSAL = 400
_TEXTS = ("text/plain", "image/svg")


class Refused(SlicelineError):
    """A service has refused, or does not answer; `status` is HTTP's, and the text is fit to be shown."""

    def __init__(self, service: str, status: int, title: str, detail: str, document: Mapping[str, Any]) -> None:
        super().__init__(detail or title)
        self.service = service
        self.status = status
        self.title = title
        self.detail = detail
        self.document = document
        """The whole problem document (RFC 9457)."""

    @property
    def errors(self) -> dict[str, str]:
        """What is wrong with which field."""
        return {str(each.get("field")): str(each.get("message")) for each in self.document.get("errors", ())}


class NotLoggedIn(SlicelineError):
    """A page needs to know who asks, or the token counts no more."""


class MayNot(SlicelineError):
    """A page, or an act on it, is for others; `scopes` are those of which one is needed."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__(f"This takes {' or '.join(scopes)}.")
        self.scopes = scopes


@dataclass
class Ask:
    """Is a request of a page: who looks, what the address says, and the services to be asked for it."""

    session: Session | None
    services: "Services"
    path: Mapping[str, str] = field(default_factory=dict)
    """What the parts of the address are that differ from page to page, by name."""
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    address: str = "/"
    """The path and query of the page, to come back to."""
    home: str = ""
    """How browsers reach the console, without a slash at the end."""

    def may(self, *scopes: str) -> bool:
        """Tell whether whoever looks has one of these scopes."""
        return self.session is not None and self.session.may(*scopes)

    def need(self, *scopes: str) -> Session:
        """Return who looks. Raises NotLoggedIn, and MayNot without one of these scopes."""
        if self.session is None:
            raise NotLoggedIn
        if scopes and not self.session.may(*scopes):
            raise MayNot(scopes)
        return self.session

    async def get(self, service: str, path: str, **query: Any) -> Any:
        """Return what a service answers, read from JSON where it is no plain text. Raises Refused and NotLoggedIn."""
        return await self._call("GET", service, path, params=_said(query))

    async def found(self, service: str, path: str, **query: Any) -> Any | None:
        """Return the same; None where there is no such thing."""
        try:
            return await self.get(service, path, **query)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def act(
        self, method: str, service: str, path: str, body: Any = None, *, key: str | None = None, **query: Any
    ) -> Any:
        """Have a service change something, once: under this Idempotency-Key, or a new one. Raises as `get` does."""
        headers = {"Idempotency-Key": key or new_id()}
        return await self._call(method, service, path, params=_said(query), json=body, headers=headers)

    async def _call(self, method: str, service: str, path: str, **more: Any) -> Any:
        return await self.services.call(self.session, method, service, path, **more)


class Services:
    """Holds the connections to the services, and where they are."""

    def __init__(self, http: httpx.AsyncClient, addresses: Mapping[str, str]) -> None:
        self._http = http
        self._addresses = addresses

    @property
    def names(self) -> tuple[str, ...]:
        """The services that can be asked."""
        return tuple(self._addresses)

    def address(self, service: str) -> str:
        """Return where a service is asked."""
        return self._addresses[service]

    async def call(self, session: Session | None, method: str, service: str, path: str, **more: Any) -> Any:
        """Send a request; return what its answer holds, None where that is nothing. Raises Refused, NotLoggedIn."""
        headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {session.token}"} if _has(session) else {})}
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await self._http.request(method, self._url(service, path), headers=headers, **more)
        except (httpx.HTTPError, TimeoutError) as error:
            detail = f"{service} does not answer ({type(error).__name__}). It is asked again when the page is."
            raise Refused(service, 503, "Out of reach", detail, {}) from None
        return _read(service, answer)

    def _url(self, service: str, path: str) -> str:
        return self._addresses[service] + path


def at(template: str, **parts: str) -> str:
    """Fill the braces of a path with parts that somebody has given, whatever is in them: at("/orders/{order}", …)."""
    return template.format(**{name: quote(part, safe="") for name, part in parts.items()})


def _has(session: Session | None) -> TypeGuard[Session]:
    return session is not None and not session.is_open


def _said(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Leave out what is not said, and say a list as often as it is long."""
    given = ((name, value) for name, value in query.items() if value not in (None, "", ()))
    return [(name, _text(each)) for name, value in given for each in (value if isinstance(value, list) else [value])]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(service: str, answer: httpx.Response) -> Any:
    if answer.status_code < _FIRST_REFUSAL and answer.headers.get("Content-Type", "").startswith(_TEXTS):
        return answer.text
    if answer.status_code < _FIRST_REFUSAL:
        return msgspec.json.decode(answer.content) if answer.content else None
    if answer.status_code == _UNAUTHORIZED:
        raise NotLoggedIn
    document = _problem(answer)
    title, detail = str(document.get("title", "Refused")), str(document.get("detail", ""))
    raise Refused(service, answer.status_code, title, detail, document)


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(answer.content)
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}
