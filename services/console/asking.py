"""Asks the services for somebody who looks at a page, with that one's token."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeGuard
from urllib.parse import quote

import httpx
import msgspec

from backbone.errors import SlicelineError
from backbone.ids import new_id
from services.console.session import Session

CALL_SECONDS = 20.0
_UNAUTHORIZED = 401
_FIRST_REFUSAL = 400
_FIRST_FAILURE = 500
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_TEXTS = ("text/plain", "image/svg")


class Refused(SlicelineError):
    """A service has refused, or does not answer; `status` is HTTP's, and the text is fit to be shown."""

    def __init__(self, service: str, status: int, title: str, detail: str, document: Mapping[str, Any]) -> None:
        super().__init__(detail or title)
        self.service = service
        self.status = status
        self.title = title
        self._said = detail or title
        self.detail = detail
        self.document = document
        """The whole problem document (RFC 9457)."""

    @property
    def may_have_acted(self) -> bool:
        """Whether what was asked for may be done all the same: what fails may do so after it."""
        return self.status >= _FIRST_FAILURE

    def saying(self, more: str) -> Self:
        """Put a sentence after what the service says, and return this."""
        self.detail = f"{self._said} {more}"
        self.args = (self.detail,)
        return self

    @property
    def errors(self) -> dict[str, str]:
        """What is wrong with which field."""
        return {str(each.get("field")): str(each.get("message")) for each in self.document.get("errors", ())}

    @property
    def in_words(self) -> str:
        """What is wrong, field by field where that is told."""
        return "; ".join(f"{name}: {said}" for name, said in self.errors.items()) or str(self)


class Unanswered(Refused):
    """A service does not answer: there is no connection to it, or nothing comes over it in time."""

    def __init__(self, service: str, error: Exception) -> None:
        super().__init__(service, 503, "Out of reach", f"{service} does not answer ({type(error).__name__}).", {})
        self._error = error

    @property
    def may_have_acted(self) -> bool:
        """Whether it may have got what it was asked for, and have done it."""
        return not isinstance(self._error, _NEVER_SENT)


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
    may_have_acted: bool = False
    """Whether a service has changed something for it, or may have."""

    @property
    def outcome(self) -> str:
        """Say what is known of what was to be done, where it has not come to an end."""
        if self.may_have_acted:
            return "Whether it was done, or a part of it, is not known: look before you send it again."
        return "Nothing was done."

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
        try:
            return await self._call("GET", service, path, params=_said(query))
        except Unanswered as away:
            away.saying("It is asked again when the page is.")
            raise

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
        try:
            done = await self._call(method, service, path, params=_said(query), json=body, headers=headers)
        except Refused as refused:
            self.may_have_acted |= refused.may_have_acted
            # A page that asks for an answer in this way has no form, and changes nothing.
            if refused.status >= _FIRST_FAILURE and self.form:
                refused.saying(self.outcome)
            raise
        self.may_have_acted = True
        return done

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
            raise Unanswered(service, error) from None
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
