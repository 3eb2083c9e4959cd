"""Coalescer: who goes with whom, who is served, and in whose name. Halving and repeating: test_group_commit.py."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from backbone.running.coalescer import Coalescer
from tests.waiting import eventually

caller = ContextVar("caller", default="nobody")


class Doubling:
    """Serves numbers when told to, and remembers which came together and in whose name it served."""

    def __init__(self) -> None:
        self.served: list[Sequence[int]] = []
        self.names: set[str] = set()
        self.go = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.served.append(numbers)
        self.names.add(caller.get())
        await self.go.wait()
        return [number * 2 if number < 100 else ValueError(number) for number in numbers]


async def started(*calls: asyncio.Task[int]) -> None:
    """Each of the calls waits now."""
    for _ in calls:
        await asyncio.sleep(0)


async def test_what_comes_during_a_flush_goes_together_and_each_is_told_its_own() -> None:
    doubling = Doubling()
    coalescer = Coalescer("doubling", doubling)
    first = asyncio.create_task(coalescer.submit(1))
    await eventually(lambda: bool(doubling.served), 5)
    calls = [asyncio.create_task(coalescer.submit(number)) for number in (2, 300, 4)]
    await started(*calls)
    doubling.go.set()
    assert (await first, await calls[0], await calls[2]) == (2, 4, 8)
    with pytest.raises(ValueError, match="300"):
        await calls[1]
    assert doubling.served == [[1], [2, 300, 4]]


async def test_who_has_given_up_is_not_served() -> None:
    doubling = Doubling()
    coalescer = Coalescer("doubling", doubling)
    first = asyncio.create_task(coalescer.submit(1))
    await eventually(lambda: bool(doubling.served), 5)
    calls = [asyncio.create_task(coalescer.submit(number)) for number in (2, 3)]
    await started(*calls)
    calls[0].cancel()
    await started(*calls)
    doubling.go.set()
    assert (await first, await calls[1]) == (2, 6)
    assert doubling.served == [[1], [3]]


async def test_a_flush_is_run_in_nobodys_name() -> None:
    doubling = Doubling()
    doubling.go.set()
    caller.set("the first one")
    await Coalescer("doubling", doubling).submit(1)
    assert doubling.names == {"nobody"}


async def test_a_passing_fault_is_logged_and_the_flush_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Sequence[int]] = []

    async def breaks_once(numbers: Sequence[int]) -> Sequence[int | Exception]:
        seen.append(numbers)
        if len(seen) == 1:
            raise ConnectionResetError("broken")
        return numbers

    assert await Coalescer("the till", breaks_once).submit(7) == 7
    assert seen == [[7], [7]]
    assert "the till failed and tries again" in capsys.readouterr().out
