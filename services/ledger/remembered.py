"""Keeps what was found last to a question that takes long, and looks again in the background for whoever asks next."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context as Variables
from typing import Annotated, Generic, NamedTuple, TypeVar

from fastapi import Query

from backbone.observing.logs import logger
from backbone.running.pulse import describe

FRESH = 5.0
"""Seconds after which what was found is looked for again, once somebody asks."""
REST = 4
"""How many times as long as a look has taken there is none: however many ask, looking takes a fifth of the time."""
STALE = 60.0
"""Seconds after which what was found is no answer any more: whoever asks waits for another look, as for the first."""
Last = Annotated[
    bool,
    Query(description="What was found last, at once; where that is older than some seconds it is looked again then."),
]
T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """Holds what was found last, and how many seconds ago."""

    what: T
    age: float


class Remembered(Generic[T]):
    """Answers at once with what `look` has found lately; nobody looks as long as nobody asks."""

    def __init__(self, look: Callable[[], Awaitable[T]]) -> None:
        self._look = look
        self._known: tuple[T, float] | None = None
        self._took, self._ended_at = 0.0, -math.inf
        self._looking: asyncio.Task[T] | None = None

    async def last(self) -> Found[T]:
        """Return what was found last; only where that is too long ago, or there is nothing, it is looked for first.

        Raises what looking for it raises.
        """
        if self._known is None or self._age > max(STALE, 2 * REST * self._took):
            await asyncio.shield(self._begun())
        if self._age > FRESH and time.monotonic() - self._ended_at > REST * self._took:
            self._begun()
        return Found(self._known[0], self._age)  # type: ignore[index]  # it was looked for just now

    @property
    def _age(self) -> float:
        return time.monotonic() - self._known[1] if self._known else math.inf

    def note(self, what: T) -> None:
        """Remember what somebody else has found."""
        self._known = what, time.monotonic()

    def _begun(self) -> asyncio.Task[T]:
        """Return the look that is under way, for all who want it; it belongs to none of their requests."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._looked(), context=Variables())
            self._looking.add_done_callback(self._ended)
        return self._looking

    async def _looked(self) -> T:
        began = time.monotonic()
        try:
            found = await self._look()
        finally:
            self._ended_at = time.monotonic()
            self._took = self._ended_at - began
        self.note(found)
        return found

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("what was found last could not be renewed", action="look-failed", error=describe(error))

    async def aclose(self) -> None:
        """End a look that is under way."""
        if (task := self._looking) is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
