"""Asks the other services over HTTP what they know. Who does not answer is told from who has nothing to say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from backbone.context import Context
from backbone.identity.own_token import NoToken, OwnToken
from services.ledger.settings import Settings

if TYPE_CHECKING:
    import httpx

CALL_SECONDS = 2.0
"""The whole call, also when the answer trickles in."""


class Services:
    """Asks services by their names. What is None is not known: nobody was there, or what came was no answer."""

    def __init__(self, addresses: Mapping[str, str], own_token: OwnToken) -> None:
        self.addresses = addresses
        self._own_token = own_token

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        import httpx  # only for who is asked for something that others know

        return httpx.AsyncClient(timeout=CALL_SECONDS, transport=httpx.AsyncHTTPTransport())  # by no proxy

    async def get(self, name: str, path: str, params: Mapping[str, Any] | None = None) -> Any | None:
        """Return what a service answers at a path; None where it does not, or answers that it has no such thing."""
        return await self._ask(name, "GET", path, params=params)

    async def text_of_each(self, path: str) -> dict[str, str | None]:
        """Return the text that each service answers at a path, all asked at the same time; None as with `get`."""
        answers = await asyncio.gather(*(self._answer(name, "GET", path) for name in self.addresses))
        return {
            name: answer.text if answer is not None and answer.status_code == 200 else None
            for name, answer in zip(self.addresses, answers, strict=True)
        }

    async def get_each(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any | None]:
        """Return what each service answers at a path, all asked at the same time."""
        answers = await asyncio.gather(*(self.get(name, path, params) for name in self.addresses))
        return dict(zip(self.addresses, answers, strict=True))

    async def post(self, name: str, path: str, body: Any) -> Any | None:
        """Return what a service answers to a question that is too long for a path; None as with `get`."""
        sent = {"content": msgspec.json.encode(body), "headers": {"Content-Type": "application/json"}}
        return await self._ask(name, "POST", path, **sent)

    async def _ask(self, name: str, method: str, path: str, **sent: Any) -> Any | None:
        response = await self._answer(name, method, path, **sent)
        return None if response is None else _read(response)

    async def _answer(
        self, name: str, method: str, path: str, headers: Mapping[str, str] | None = None, **sent: Any
    ) -> httpx.Response | None:
        import httpx

        url = self.addresses.get(name)
        if url is None:
            return None
        try:
            async with asyncio.timeout(CALL_SECONDS):
                own = {**(headers or {}), **await self._own_token.headers()}
                answer = await self._http.request(method, f"{url}{path}", headers=own, **sent)
            self._own_token.heed(answer.status_code)
            return answer
        except (NoToken, TimeoutError, httpx.HTTPError, httpx.InvalidURL):
            return None

    async def aclose(self) -> None:
        """Close all connections."""
        if "_http" in self.__dict__:
            await self._http.aclose()


def _read(response: httpx.Response) -> Any | None:
    if response.status_code != 200:
        return None
    try:
        return msgspec.json.decode(response.content)
    except (msgspec.MsgspecError, RecursionError):
        return None


def services_of(context: Context[Settings]) -> Services:
    """Make what asks the services: `context.client(services_of)` is a process's only one."""
    return Services(context.settings.addresses, context.own_token)
