"""Limits time, and more tightly when the process stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def hurried(within: float, stopping: asyncio.Event, then: float) -> AsyncIterator[None]:
    """Limit the block to `within` seconds, and to `then` seconds from when `stopping` is set. Raises TimeoutError."""
    async with asyncio.timeout(within) as limit:
        watching = asyncio.create_task(_shorten(limit, stopping, then))
        try:
            yield
        finally:
            watching.cancel()


async def _shorten(limit: asyncio.Timeout, stopping: asyncio.Event, then: float) -> None:
    await stopping.wait()
    soon = asyncio.get_running_loop().time() + then
    if not limit.expired() and soon < (limit.when() or soon):
        limit.reschedule(soon)
