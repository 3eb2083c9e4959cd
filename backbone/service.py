"""What a service is made of: one value that puts its parts together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx
from fastapi import APIRouter

from backbone.database import Database, Tx
from backbone.events import Event, Payload
from backbone.jobs import Work
from backbone.settings import Settings

S = TypeVar("S", bound=Settings)

Handler = Callable[[Event[Any], Tx], Awaitable[None]]
Handlers = Mapping[type[Payload], Handler]
LockRows = Callable[[Sequence[Event[Any]], Tx], Awaitable[None]]


@dataclass(frozen=True)
class Service(Generic[S]):
    """A service. Topics, consumer contracts and the catalogue derive from `publishes` and `handlers`."""

    name: str
    settings: type[S]
    router: APIRouter
    publishes: tuple[type[Payload], ...] = ()
    handlers: Handlers = field(default_factory=dict)
    lock: LockRows | None = None
    """Takes every row lock that a batch needs, in sorted order of keys, before any of its handlers runs."""
    jobs: Mapping[str, Work[S]] = field(default_factory=dict)


@dataclass
class Context(Generic[S]):
    """What a running process of a service has at hand."""

    settings: S
    database: Database
    http: httpx.AsyncClient
    checks: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    """By part of the process: None when it is ready, else what it waits for."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process begins to stop: an answer that goes on for long ends then."""
