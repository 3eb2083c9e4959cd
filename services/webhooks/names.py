"""Finds where names lead, and lets a name that resolves slowly hold up nobody but itself.

A lookup that nobody waits for any more goes on in its thread, of which there are few. So a name has one lookup at a
time, which all who ask meanwhile share, and one that failed is not looked up again for some seconds.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

FAILED_FOR = 5.0
"""Seconds for which a name that was not found counts as not there."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Finds the IP addresses of a name."""

# Of our own: names that resolve slowly would fill the few threads of the event loop, and hold up all others.
_RESOLVERS = ThreadPoolExecutor(max_workers=64, thread_name_prefix="resolver")


async def resolve(host: str) -> Sequence[str]:
    """Ask the system's resolver, as every other program here does."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_RESOLVERS, _look_up, host)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def _look_up(host: str) -> list[Any]:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


class Names:
    """Looks names up, each once at a time."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._under_way: dict[str, asyncio.Task[Sequence[str]]] = {}
        self._failed: dict[str, tuple[float, str]] = {}

    async def find(self, host: str) -> Sequence[str]:
        """Return a name's addresses. Raises ConnectError for one that is not found, or was not a moment ago.

        Whoever does not wait to the end leaves the lookup to the others.
        """
        self._forget()
        if host in self._failed:
            raise httpcore.ConnectError(self._failed[host][1])
        lookup = self._under_way.get(host) or self._begin(host)
        try:
            return await asyncio.shield(lookup)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    def close(self) -> None:
        """Leave all lookups alone."""
        for lookup in self._under_way.values():
            lookup.cancel()

    def _begin(self, host: str) -> asyncio.Task[Sequence[str]]:
        lookup = self._under_way[host] = asyncio.ensure_future(self._resolve(host))
        lookup.add_done_callback(lambda done: self._ended(host, done))
        return lookup

    def _ended(self, host: str, lookup: asyncio.Task[Sequence[str]]) -> None:
        del self._under_way[host]
        if not lookup.cancelled() and (error := lookup.exception()) is not None:
            self._failed[host] = (time.monotonic() + FAILED_FOR, str(error))

    def _forget(self) -> None:
        """Drop failures that are over: they were noted in the order in which they end."""
        now = time.monotonic()
        while self._failed and (first := next(iter(self._failed.items())))[1][0] <= now:
            del self._failed[first[0]]
