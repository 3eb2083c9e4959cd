"""What a service is made of: one value that puts its parts together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel

from backbone.events.payload import Event, Payload
from backbone.jobs.work import AT_ONCE, Postpone, Work
from backbone.running.following import Following, Look
from backbone.running.gathering import Gathering
from backbone.running.shares import Turns
from backbone.settings import Settings
from backbone.storage.database import Database, Tx
from backbone.storage.group_commit import GroupCommit, Write

if TYPE_CHECKING:
    import httpx

    from backbone.http.answers import Answer

S = TypeVar("S", bound=Settings)
T = TypeVar("T")
R = TypeVar("R")
B = TypeVar("B", bound=BaseModel)

OneByOne = Callable[[Event[Any], Tx], Awaitable[None]]


@dataclass(frozen=True)
class InSets:
    """A handler that takes all events of a batch that come one after another for it, in the order they arrived.

    It has to do what handling them one by one would, only in fewer statements. What it publishes, it publishes with
    `cause=event.cause`, because the transaction has no single cause. The rows it changes it locks first, sorted: one
    InSets for all types of a service gets a whole batch at once, so that they are sorted over the batch.
    """

    handle: Callable[[Sequence[Event[Any]], Tx], Awaitable[None]]


Handler = OneByOne | InSets
Handlers = Mapping[type[Payload], Handler]


@dataclass(frozen=True, eq=False)
class Grouped(Generic[T, B]):
    """A command that comes so often that many are written in one transaction (see `group.py`, `http/express.py`)."""

    path: str
    body: type[B]
    decide: Callable[[B, Context[Any]], Awaitable[tuple[T, Answer]]]
    """What a sound body amounts to, and what is answered once that is written. Raises Problem. Writes nothing."""
    write: Write[T]


@dataclass(frozen=True)
class Service(Generic[S]):
    """A service. Topics, consumer contracts and the catalogue derive from `publishes` and `handlers`."""

    name: str
    settings: type[S]
    router: APIRouter
    publishes: tuple[type[Payload], ...] = ()
    handlers: Handlers = field(default_factory=dict)
    jobs: Mapping[str, Work[S]] = field(default_factory=dict)
    grouped: tuple[Grouped[Any, Any], ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    """What its own problems mean, by their titles; the backbone's are in `http/kinds.py`."""

    @property
    def about(self) -> str:
        """What the service does, as its package says it."""
        package = sys.modules.get(f"services.{self.name}")
        return (package and package.__doc__) or f"The {self.name} service."


@dataclass
class Context(Generic[S]):
    """What a running process of a service has at hand."""

    settings: S
    database: Database
    checks: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    """By part of the process: None when it is ready, else what it waits for."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process begins to stop: an answer that goes on for long ends then."""
    groups: dict[Grouped[Any, Any], GroupCommit[Any]] = field(default_factory=dict)
    gatherings: dict[Any, Gathering[Any, Any]] = field(default_factory=dict)
    followings: dict[str, Following] = field(default_factory=dict)
    turns: Turns = field(default_factory=Turns)
    """By resource: commands on it take turns."""
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def http(self) -> httpx.AsyncClient:
        """The one client of this process for calls of others."""
        if not self.clients:
            import httpx  # a tenth of a process's start, and most services call nobody

            self.clients.append(httpx.AsyncClient(timeout=10))
        return self.clients[0]

    @property
    def for_jobs(self) -> Context[S]:
        """The same for jobs, which leave connections to the other parts."""
        return replace(self, database=self.database.for_jobs)

    async def rest(self, seconds: float) -> None:
        """Let a job wait before it does anything. Raises Postpone when the process stops: nothing was done."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
            raise Postpone(AT_ONCE)

    async def close(self) -> None:
        """Give all connections back."""
        try:
            for client in self.clients:
                await client.aclose()
        finally:
            await self.database.close()

    def group(self, grouped: Grouped[T, Any]) -> GroupCommit[T]:
        """The one group commit of this process for commands of this kind."""
        if grouped not in self.groups:
            self.groups[grouped] = GroupCommit(self.database, grouped.write)
        return self.groups[grouped]

    def together(self, serve: Together[S, T, R]) -> Gathering[T, R]:
        """Where calls of `serve` meet that this process makes at the same moment (see `gathering.py`)."""
        if serve not in self.gatherings:
            self.gatherings[serve] = Gathering(serve.__name__.strip("_"), partial(serve, self))
        return self.gatherings[serve]

    def following(self, name: str, look: Look) -> Following:
        """Where all meet that follow things of this name in this process (see `following.py`)."""
        if name not in self.followings:
            self.followings[name] = Following(name, look, self.stopping)
        return self.followings[name]


Together = Callable[[Context[S], Sequence[T]], Awaitable[Sequence[R | Exception]]]
"""Serves many calls at once: for each, in their order, what it returns or raises."""
