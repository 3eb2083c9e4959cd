"""Serves calls of one moment together.

A commit costs the same for one row or for two hundred, a connection the same for one mail or for twenty. So while one
flush is under way the next calls gather, and then go together; one that comes alone goes at once.

A call that fails takes nobody with it: the flush is halved until that call stands alone. A row that somebody holds is
treated like a failure: the flush gives up soon, for all others in it would wait as well, and is halved.

When a fault passes (a connection breaks, and nobody knows whether the commit happened), the very same flush is run
again; it has to recognise what is there already. A flush that cannot (a mail once sent is sent) returns its errors from
there on, each beside its call, and raises nothing.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from backbone.running.faults import CommitUnknown, is_locked_out, is_passing, is_unknown
from backbone.running.pulse import report
from backbone.running.retry import RetryPolicy

T = TypeVar("T")
R = TypeVar("R")

MOST = 256
PATIENCE = timedelta(milliseconds=500)
"""How long a flush should wait for a lock: all who are in it wait, so one that is locked out is to be found soon."""
AGAIN = RetryPolicy(first=timedelta(milliseconds=50), longest=timedelta(seconds=1), within=timedelta(seconds=10))
"""How long a flush that meets passing faults is repeated."""

Flush = Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]
"""Serves many calls at once: for each, in their order, what it returns or raises."""


class Coalescer(Generic[T, R]):
    """Serves calls of one kind, one flush at a time."""

    def __init__(self, name: str, flush: Flush[T, R]) -> None:
        """`name` is for the logs."""
        self._name = name
        self._flush = flush
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def submit(self, item: T) -> R:
        """Hand an item to the next flush; return, or raise, what the flush says of it."""
        outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._flusher is None:
            # In a context of its own: what it logs concerns many, not the one who happened to come first.
            self._flusher = asyncio.create_task(self._flush_all(), context=contextvars.Context())
        return await outcome

    async def _flush_all(self) -> None:
        try:
            while self._waiting:
                calls, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                # Whoever has given up meanwhile may try again elsewhere: it must not be served as well.
                if calls := [each for each in calls if not each[1].cancelled()]:
                    await self._serve(calls)
        finally:
            self._flusher = None

    async def _serve(self, calls: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            outcomes = await self._outlast([item for item, _ in calls])
        except Exception as error:
            if len(calls) > 1 and _concerns_one(error):
                middle = len(calls) // 2
                await self._serve(calls[:middle])
                await self._serve(calls[middle:])
                return
            outcomes = [error] * len(calls)
        for (_, waiting), outcome in zip(calls, outcomes, strict=True):
            _resolve(waiting, outcome)

    async def _outlast(self, items: Sequence[T]) -> Sequence[R | Exception]:
        """Run the flush until its outcome is known, as long as the policy has patience with passing faults."""
        loop = asyncio.get_running_loop()
        began, attempt, unknown = loop.time(), 0, False
        while True:
            attempt += 1
            try:
                return await self._flush(items)
            except Exception as error:
                if not is_passing(error) or (is_locked_out(error) and not unknown):
                    raise
                unknown = unknown or is_unknown(error)
                delay = AGAIN.next_delay(attempt, timedelta(seconds=loop.time() - began))
                if delay is None:
                    if unknown:  # what an earlier try wrote may be there, whatever this one met
                        raise CommitUnknown from error
                    raise
                report(self._name, error, delay)
                await asyncio.sleep(delay.total_seconds())


def _concerns_one(error: Exception) -> bool:
    """Tell whether the flush would succeed without some one of its calls."""
    return is_locked_out(error) or not is_passing(error)


def _resolve(waiting: asyncio.Future[R], outcome: R | Exception) -> None:
    if waiting.done():  # whoever called has gone; the effect stays
        return
    if isinstance(outcome, Exception):
        waiting.set_exception(outcome)
    else:
        waiting.set_result(outcome)
