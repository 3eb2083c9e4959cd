"""Shares out a process's connections: who may hold how many at once, so that nobody can take them from all others.

A row that somebody holds keeps every command on it waiting, and each of them a connection. So commands have a share of
their own, the commands on one resource only one connection of it and those on many resources at most half of it;
queries always get some that commands cannot take, and what must go on (relay, consumer, group commit, readiness) is
never behind any of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from backbone.errors import SlicelineError

RESERVED = 4
"""Connections that only the parts have which work one transaction at a time: relay, consumer, group commit, others."""
PATIENCE = 3.0
"""Seconds that a command, a query or a job waits for its turn to have a connection."""


class Full(SlicelineError):
    """All connections that this may use are in use; nothing was done."""


class Share:
    """Lets at most so many in at once; the others wait, first come first served."""

    def __init__(self, most: int, within: "Share | None" = None) -> None:
        """`within`: whoever is let in here takes a place of that share as well."""
        self._most = most
        self._within = within
        self._free = asyncio.Semaphore(most)

    @asynccontextmanager
    async def part(self) -> AsyncIterator[None]:
        """Hold a place during the block. Raises Full when none was free within `PATIENCE`."""
        await self._take()
        try:
            if self._within is None:
                yield
                return
            async with self._within.part():
                yield
        finally:
            self._free.release()

    async def _take(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE if self._free.locked() else None):
                await self._free.acquire()
        except TimeoutError:
            raise Full(f"All {self._most} for this were in use for {PATIENCE:g} s.") from None


class Shares(NamedTuple):
    """Names the shares of a pool; commands are part of the requests, bulk commands part of the commands."""

    requests: Share
    commands: Share
    bulk: Share
    jobs: Share


def shared_out(connections: int) -> Shares:
    """Share out a pool of that size: some stay reserved, a quarter of the others is for jobs, the rest for requests."""
    left = connections - RESERVED
    jobs = max(left // 4, 1)
    most = max(left - jobs - 1, 1)
    requests = Share(max(left - jobs, 1))
    commands = Share(most, requests)
    return Shares(requests, commands, Share(max(most // 2, 1), commands), Share(jobs))


@dataclass
class _Turn:
    share: Share
    users: int = 0


class Turns:
    """Lets one in at a time for each name; different names do not wait for each other."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Have the turn of this name during the block. Raises Full when it did not come within `PATIENCE`."""
        turn = self._turns.setdefault(name, _Turn(Share(1)))
        turn.users += 1
        try:
            async with turn.share.part():
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[name]
