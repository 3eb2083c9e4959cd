"""Looks, once for all who follow something in this process, at what has changed.

A follower who looks alone costs a statement for each look, and a hundred of them take the database from everybody else.
So all of them share one: a statement every quarter of a second for everything that is followed, on one connection, and
none when nobody follows.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

from backbone.running.pulse import report

EVERY = 0.25
"""Seconds between two looks at all: the process that is asked may not be the one that changes things."""

MOST = 256
"""Versions that one look brings at most, so that turning them into documents holds up nobody for long."""

_AFTER_A_FAULT = timedelta(seconds=1)


@dataclass(frozen=True)
class Version:
    """Holds a followed thing as it stands: `document` is what its followers are shown."""

    key: str
    number: int
    document: bytes
    over_at: float | None
    """From when on no other version is expected, on the event loop's clock; None: nobody can say yet."""


Look = Callable[[Mapping[str, int]], Awaitable[Sequence[Version]]]
"""Finds those things whose number is above the given one, by key; at most MOST of them."""


class Follower:
    """Waits for one follower; `seen` is the number of the newest version told."""

    def __init__(self, seen: int) -> None:
        self.seen = seen
        self._woken = asyncio.Event()
        self._news: Version | None = None

    async def news(self, within: float) -> Version | None:
        """Return the newest untold version; None when none came within so many seconds, or the process stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._woken.wait()
        self._woken.clear()
        news, self._news = self._news, None
        return news

    def tell(self, news: Version) -> None:
        """Wake the follower with this version, which replaces an older one that was not fetched."""
        self.seen = news.number
        self._news = news
        self._woken.set()

    def wake(self) -> None:
        """Wake the follower, whether there is something new or not."""
        self._woken.set()


class Following:
    """Looks for changes on behalf of all who follow things of one kind in this process."""

    def __init__(self, name: str, look: Look, stopping: asyncio.Event) -> None:
        """`name` is for the logs; when `stopping` is set, everybody is woken."""
        self._name = name
        self._look = look
        self._stopping = stopping
        self._followers: dict[str, set[Follower]] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, key: str, seen: int) -> Iterator[Follower]:
        """Follow a thing during the block: its versions above `seen` are told."""
        follower = Follower(seen)
        self._followers.setdefault(key, set()).add(follower)
        if self._looking is None:
            # In a context of its own: what it logs concerns all, not the one who happened to come first.
            self._looking = asyncio.create_task(self._keep_looking(), context=contextvars.Context())
        try:
            yield follower
        finally:
            self._followers[key].discard(follower)
            if not self._followers[key]:
                del self._followers[key]

    async def _keep_looking(self) -> None:
        try:
            while self._followers and not self._stopping.is_set():
                pause = await self._look_around()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
        finally:
            self._looking = None
            for follower in chain.from_iterable(self._followers.values()):
                follower.wake()

    async def _look_around(self) -> float:
        """Look once at everything and tell; return the seconds until the next look, 0 when more waits."""
        seen = {key: min(each.seen for each in some) for key, some in self._followers.items()}
        try:
            found = await self._look(seen)
        except Exception as error:  # whatever it is, the next look may succeed
            report(self._name, error, _AFTER_A_FAULT)
            return _AFTER_A_FAULT.total_seconds()
        for version in found:
            self._tell(version)
        return 0 if len(found) == MOST else EVERY

    def _tell(self, version: Version) -> None:
        for follower in self._followers.get(version.key, ()):
            if follower.seen < version.number:
                follower.tell(version)
