"""Says when to try again. A policy is data that answers; the loop that asks knows nothing of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """Backs off exponentially, bounded by the number of attempts, the time since the first one, both or neither."""

    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(seconds=60)
    attempts: int | None = None
    within: timedelta | None = None

    def next_delay(self, attempt: int, since_first: timedelta) -> timedelta | None:
        """Return the wait after the given failed attempt (1 = the first); None when it was the last."""
        if self.attempts is not None and attempt >= self.attempts:
            return None
        if self.within is not None and since_first >= self.within:
            return None
        # In seconds: a timedelta overflows after some fifty doublings, a float does not.
        grown = self.first.total_seconds() * self.factor ** min(attempt - 1, 64)
        return timedelta(seconds=min(self.longest.total_seconds(), grown))


FOR_EVER = RetryPolicy()
"""A passing fault is never given up: an event must not be skipped because a server was away."""


async def repeat(
    work: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    passes: Callable[[Exception], bool],
    tell: Callable[[Exception, timedelta], None] = lambda *_: None,
) -> T:
    """Repeat work while its errors pass and the policy has patience; raise the error it ends with.

    `tell` is called before each wait.
    """
    began, attempt = time.monotonic(), 0
    while True:
        try:
            return await work()
        except Exception as error:
            attempt += 1
            delay = policy.next_delay(attempt, timedelta(seconds=time.monotonic() - began))
            if delay is None or not passes(error):
                raise
            tell(error, delay)
        await asyncio.sleep(delay.total_seconds())
