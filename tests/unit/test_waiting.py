"""Waiting: what a test learns when what it waits for comes, comes late, or never comes."""

import asyncio

import pytest

from tests.waiting import eventually, wait_until


async def test_a_probe_is_asked_until_it_answers_and_its_answer_is_returned() -> None:
    answers = iter([None, "", "here"])

    async def probe() -> str | None:
        return next(answers)

    assert await eventually(probe, 5, every=0) == "here"


async def test_a_plain_probe_is_asked_while_other_tasks_go_on() -> None:
    done = asyncio.create_task(asyncio.sleep(0))
    assert await eventually(done.done, 5, every=0)


async def test_a_probe_that_hangs_fails_in_time_and_names_what_was_awaited() -> None:
    async def hangs() -> bool:
        await asyncio.sleep(60)
        return True

    with pytest.raises(AssertionError, match=r"not within 0\.01 s: the pizza"):
        await eventually(hangs, 0.01, what="the pizza")


async def test_a_timeout_of_the_probe_itself_is_told_as_it_is() -> None:
    async def breaks() -> bool:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await eventually(breaks, 5)


def test_a_condition_that_never_holds_fails_in_time_without_an_event_loop() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.01 s: the pizza"):
        wait_until(lambda: False, 0.01, what="the pizza", every=0)
