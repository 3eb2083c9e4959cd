"""Keeps the long-running parts of a process (relay, consumer, workers) running, and lets others see how they are."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from backbone.errors import SlicelineError
from backbone.observing.logs import logger
from backbone.running.faults import is_passing
from backbone.running.retry import RetryPolicy

RESTART = RetryPolicy(first=timedelta(milliseconds=200), longest=timedelta(seconds=5))
_NO_TIME = timedelta(0)


class Pulse:
    """Keeps one part's heartbeat and state. It beats whenever it begins something, and says how long that may take."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.beats = 0
        self.lasting = 0.0
        self.problem: str | None = "starting"

    def beat(self, lasting: float = 0.0) -> None:
        """Tell the watchdog that the part is alive.

        `lasting`: seconds by which what is begun now ends by itself, in whatever way, where that is known and may be
        longer than the watchdog's patience. Whoever waits for a server under a deadline is not stuck.
        """
        self.lasting = lasting
        self.beats += 1

    def ready(self) -> None:
        """Tell /health/ready that the part does its work."""
        self.problem = None

    async def rest(self, delay: timedelta) -> None:
        """Wait, and beat meanwhile."""
        remaining = delay.total_seconds()
        while remaining > 0:
            self.beat()
            await asyncio.sleep(min(remaining, 1))
            remaining -= 1


async def keep_running(pulse: Pulse, step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Repeat `step` until asked to stop; a step that fails is repeated after a growing wait, and never given up."""
    attempt = 0
    while not stop.is_set():
        pulse.beat()
        try:
            await step()
            attempt = 0
        except Exception as error:
            attempt += 1
            delay = RESTART.next_delay(attempt, _NO_TIME) or RESTART.longest
            pulse.problem = describe(error)
            report(pulse.name, error, delay)
            await pulse.rest(delay)


async def ended_well(work: Coroutine[Any, Any, Any], within: float) -> bool:
    """Tell whether the work ended within so many seconds without an error; swallows its errors and cancellations."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=within)
        return task.done() and not task.cancelled() and task.exception() is None
    finally:
        task.cancel()


def report(name: str, error: Exception, delay: timedelta) -> None:
    """Log an error that will be tried again; only an unforeseen one with its traceback."""
    foreseen = is_passing(error) or isinstance(error, SlicelineError)
    logger.log(
        30 if foreseen else 40,
        f"{name} failed and tries again",
        action="part-failed",
        part=name,
        error=describe(error),
        delay_s=delay.total_seconds(),
        exc_info=None if foreseen else error,
    )


def describe(error: BaseException) -> str:
    """Put an error into one line."""
    return f"{type(error).__name__}: {error}".strip(": ").splitlines()[0][:500]
