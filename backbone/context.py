"""Gives the parts of a process what they share: settings, database, clients, coalescers, followings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from backbone.identity.own_token import OwnToken
from backbone.identity.tokens import Tokens
from backbone.running.coalescer import Coalescer
from backbone.running.following import Following, Look
from backbone.running.shares import Turns
from backbone.sealing.acts import Acts
from backbone.sealing.sealing import Sealing
from backbone.settings import Settings
from backbone.storage.database import Database
from backbone.storage.group_commit import GroupCommit, Write

if TYPE_CHECKING:
    import ssl

    import httpx

S = TypeVar("S", bound=Settings)
T = TypeVar("T")
R = TypeVar("R")


class Client(Protocol):
    """Holds connections to others, which are closed when the process ends."""

    async def aclose(self) -> None:
        """Close all connections."""


C = TypeVar("C", bound=Client)


@dataclass
class Context(Generic[S]):
    """Holds what a running process of a service has at hand."""

    settings: S
    database: Database
    checks: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    """By part of the process: None when it is ready, else what it waits for."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process begins to stop: an answer that goes on for long ends then."""
    group_commits: dict[Any, GroupCommit[Any]] = field(default_factory=dict)
    coalescers: dict[Any, Coalescer[Any, Any]] = field(default_factory=dict)
    followings: dict[str, Following] = field(default_factory=dict)
    turns: Turns = field(default_factory=Turns)
    """By resource: commands on it take turns."""
    clients: dict[Any, Client] = field(default_factory=dict)
    """By what has made it."""

    @property
    def http(self) -> httpx.AsyncClient:
        """The one client of this process for calls of others."""
        return self.client(_plain_client)

    @cached_property
    def own_token(self) -> OwnToken:
        """What says to other services who asks: this one."""
        return OwnToken(self.database.service, self.settings, lambda: self.http)

    @cached_property
    def sealing(self) -> Sealing:
        """What seals and opens what is a person's own."""
        return Sealing(self.settings, self.database, lambda: self.http, self.own_token)

    @cached_property
    def acts(self) -> Acts:
        """What writes down what staff and operators do, and who was refused."""
        return Acts(self.database, self.sealing)

    @cached_property
    def tokens(self) -> Tokens | None:
        """What checks the tokens of those who ask; None where everybody may do everything."""
        return Tokens(self.settings, lambda: self.http) if self.settings.issuer else None

    def client(self, make: Callable[[Context[S]], C]) -> C:
        """Return this process's one client that `make` makes."""
        if make not in self.clients:
            self.clients[make] = make(self)
        return cast(C, self.clients[make])

    @property
    def for_jobs(self) -> Context[S]:
        """The same context with the jobs' share of the connections."""
        return replace(self, database=self.database.for_jobs)

    async def close(self) -> None:
        """Close all clients and connections."""
        try:
            if self.tokens is not None:
                await self.tokens.aclose()
            for client in self.clients.values():
                await client.aclose()
        finally:
            await self.database.close()

    def group_commit(self, write: Write[T]) -> GroupCommit[T]:
        """Return this process's one group commit for what `write` writes."""
        if write not in self.group_commits:
            self.group_commits[write] = GroupCommit(self.database, write)
        return self.group_commits[write]

    def coalesce(self, serve: ServeMany[S, T, R]) -> Coalescer[T, R]:
        """Return this process's one coalescer of calls of `serve` (see `running/coalescer.py`)."""
        if serve not in self.coalescers:
            self.coalescers[serve] = Coalescer(serve.__name__.strip("_"), partial(serve, self))
        return self.coalescers[serve]

    def following(self, name: str, look: Look) -> Following:
        """Return this process's one Following of things of this name (see `running/following.py`)."""
        if name not in self.followings:
            self.followings[name] = Following(name, look, self.stopping)
        return self.followings[name]


def _plain_client(_: Context[Any]) -> httpx.AsyncClient:
    import httpx  # a tenth of a process's start, and most services call nobody

    # A transport of its own keeps out the proxies that the environment names: calls carry tokens, and the shop's own
    # addresses mean nothing to a proxy.
    return httpx.AsyncClient(timeout=10, transport=httpx.AsyncHTTPTransport(verify=authorities()))


@cache
def authorities() -> ssl.SSLContext:
    """Read whom TLS trusts, which takes longer than most calls: once for all contexts of a process."""
    import httpx

    return httpx.create_ssl_context()


ServeMany = Callable[[Context[S], Sequence[T]], Awaitable[Sequence[R | Exception]]]
"""Serves many calls at once: for each, in their order, what it returns or raises."""
