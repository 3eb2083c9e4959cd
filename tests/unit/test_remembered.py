"""What was found last is told at once, and looked for again by whoever asks when it is no longer fresh."""

import asyncio

import pytest

from services.ledger import remembered
from services.ledger.remembered import Remembered


class Looking:
    """Counts the looks, each of which ends when it is let, and may fail."""

    def __init__(self) -> None:
        self.looks = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def look(self) -> int:
        self.looks += 1
        await self.may_end.wait()
        if self.error:
            raise self.error
        return self.looks


async def test_all_who_ask_first_wait_for_one_look_also_when_one_of_them_goes_away() -> None:
    looking = Looking()
    known = Remembered(looking.look)
    asking = [asyncio.create_task(known.last()) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    looking.may_end.set()
    assert [each.what for each in await asyncio.gather(*asking[1:])] == [1, 1]
    assert looking.looks == 1
    assert (await known.last()).what == 1
    assert looking.looks == 1


async def test_what_is_no_longer_fresh_is_told_and_renewed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "FRESH", 0.0)
    looking = Looking()
    known = Remembered(looking.look)
    known.note(0)
    assert [(await known.last()).what for _ in range(3)] == [0, 0, 0]
    await asyncio.sleep(0)
    assert looking.looks == 1
    looking.may_end.set()
    await asyncio.sleep(0.01)
    assert (await known.last()).what == 1
    await known.aclose()


async def test_a_look_that_fails_leaves_what_was_known_and_fails_only_who_has_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered, "FRESH", 0.0)
    monkeypatch.setattr(remembered, "REST", 0)
    looking = Looking()
    looking.may_end.set()
    looking.error = ValueError("away")
    known = Remembered(looking.look)
    with pytest.raises(ValueError, match="away"):
        await known.last()
    known.note(7)
    for _ in range(3):
        assert (await known.last()).what == 7
        await asyncio.sleep(0.01)
    assert looking.looks == 4
    looking.error = None
    await known.last()
    await asyncio.sleep(0.01)
    assert (await known.last()).what == 5


@pytest.mark.parametrize("error", [None, ValueError("away")])
async def test_a_look_that_takes_long_is_seldom_made_however_many_ask(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    monkeypatch.setattr(remembered, "FRESH", 0.0)
    monkeypatch.setattr(remembered, "REST", 1000)
    looking = Looking()
    looking.error = error
    known = Remembered(looking.look)
    known.note(0)
    asyncio.get_running_loop().call_later(0.1, looking.may_end.set)
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began + 0.5:
        await known.last()
        await asyncio.sleep(0.01)
    assert looking.looks == 1


async def test_a_look_ends_with_the_process() -> None:
    looking = Looking()
    known = Remembered(looking.look)
    asking = asyncio.create_task(known.last())
    await asyncio.sleep(0)
    await known.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_what_was_found_long_ago_is_passed_off_as_known_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "STALE", 0.0)
    looking = Looking()
    looking.may_end.set()
    known = Remembered(looking.look)
    known.note(0)
    await asyncio.sleep(0.01)
    assert (await known.last()).what == 1
    await asyncio.sleep(0.01)
    looking.error = ValueError("away")
    with pytest.raises(ValueError, match="away"):
        await known.last()
