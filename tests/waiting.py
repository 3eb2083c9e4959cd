"""Waits for what happens elsewhere, with a deadline: no test just sleeps."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

DEADLINE = 60.0


@overload
async def eventually(
    probe: Callable[[], Awaitable[T | None]], within: float = DEADLINE, *, what: str = "", every: float = 0.02
) -> T: ...


@overload
async def eventually(
    probe: Callable[[], bool], within: float = DEADLINE, *, what: str = "", every: float = 0.02
) -> bool: ...


async def eventually(probe: Callable[[], Any], within: float = DEADLINE, *, what: str = "", every: float = 0.02) -> Any:
    """Return the first true answer of `probe`, which is asked again and again; fail after so many seconds."""
    deadline = asyncio.timeout(within)
    try:
        async with deadline:
            while not (answer := await _answer(probe)):  # noqa: ASYNC110  what it asks about is elsewhere
                await asyncio.sleep(every)
            return answer
    except TimeoutError as error:
        if not deadline.expired():  # the probe's own
            raise
        raise AssertionError(_late(within, what or probe)) from error


def wait_until(probe: Callable[[], bool], within: float = DEADLINE, *, what: str = "", every: float = 0.02) -> None:
    """Do the same where no event loop runs."""
    deadline = time.monotonic() + within
    while not probe():
        if time.monotonic() > deadline:
            raise AssertionError(_late(within, what or probe))
        time.sleep(every)


async def _answer(probe: Callable[[], Any]) -> Any:
    answer = probe()
    return await answer if inspect.isawaitable(answer) else answer


def _late(within: float, what: object) -> str:
    return f"not within {within:g} s: {what}"
