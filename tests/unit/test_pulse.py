"""Parts of a process: what ends badly inside of them must not end them."""

import asyncio

from backbone.running.pulse import ended_well


async def test_it_tells_whether_work_ended_in_time_and_without_an_error() -> None:
    async def fail() -> None:
        raise ConnectionError

    assert await ended_well(asyncio.sleep(0), 5)
    assert not await ended_well(fail(), 5)
    assert not await ended_well(asyncio.sleep(60), 0.01)


async def test_a_cancellation_that_work_brings_along_does_not_spread() -> None:
    async def like_a_client_that_waits_for_a_task_it_has_cancelled() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    assert not await ended_well(like_a_client_that_waits_for_a_task_it_has_cancelled(), 5)
