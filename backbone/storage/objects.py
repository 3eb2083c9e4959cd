"""Puts and fetches data that is too large for a topic, in the one object store that all services of a shop share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from backbone.errors import SlicelineError
from backbone.events.dataref import parse, reference_to
from backbone.running.gather_or_cancel import gather_or_cancel

if TYPE_CHECKING:
    from backbone.storage.object_store import ObjectStore

WITHIN = 15.0
"""Seconds that the store has for an answer."""
SIDE_BY_SIDE = 8
"""Objects that are put or fetched at once."""
T = TypeVar("T")
_address: str | None = None


class NoStore(SlicelineError):
    """No object store is named: set SLICELINE_OBJECTS to file:///folder or s3://bucket, and try again."""


class Missing(SlicelineError):
    """The event's data is not in the object store."""


class Unreachable(OSError):
    """The object store cannot be reached, or lets us do nothing: a passing fault."""


def keep_in(address: str | None) -> None:
    """Say where objects are, as the setting has it; nothing is opened before the first is put or fetched."""
    global _address
    _address = address


async def put(data: bytes, service: str, now: datetime) -> str:
    """Put what a service publishes into the store, and return the reference to it; what is put is durable.

    Raises NoStore; or Unreachable, which passes.
    """
    reference = reference_to(data, service, now.date())
    await _store().put(reference, data)
    return reference


async def fetch(reference: str) -> bytes:
    """Return the data that was put under a reference, once it is seen to be that.

    Raises NoStore, ForeignReference, Missing or Corrupt; or Unreachable, which passes.
    """
    return await _store().get(parse(reference))


async def side_by_side(work: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Do what puts or fetches several objects, some at a time; return what each returns, in their order."""
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(each: Callable[[], Awaitable[T]]) -> T:
        async with turns:
            return await each()

    return await gather_or_cancel(*map(one, work))


async def purge(service: str, now: datetime, kept: timedelta, beat: Callable[[], None] = lambda: None) -> int:
    """Delete what a service has put longer ago than objects are kept, by whole days; return how much that was.

    `beat` is called before every deletion. Raises Unreachable.
    """
    return await _store().purge(service, _first_day(now, kept), beat) if _address else 0


def _first_day(now: datetime, kept: timedelta) -> date:
    """Return the first day of which everything stays: what was put on the day before is older, at whatever time."""
    return (now - kept).date()


def _store() -> "ObjectStore":
    if _address is None:
        raise NoStore
    return _opened(_address)


@cache
def _opened(address: str) -> "ObjectStore":
    from backbone.storage.object_store import ObjectStore  # its library is needed by large events alone

    return ObjectStore(address)
