"""The pace of calls to the provider, shared by all replicas: one row in the database gives out the slots.

A generic cell rate algorithm without a burst: each call moves `next_at` on by one interval, so calls are evenly
spread over time, whoever makes them. All times are the database's, so clocks need not agree.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from backbone.jobs.work import Postpone
from backbone.storage.database import Database

# What is left of the limit is for the uneven time that calls take to get there.
SHARE_OF_LIMIT = 0.95
# A slot further away than this is not waited for: the job is put off, rather than held under its lease.
PATIENCE = timedelta(seconds=8)
# Who wakes so many seconds late has missed its slot: after a stall of the process all would call at once otherwise.
MISSED = 0.5

# Evaluated again when it had to wait for the row, so two callers never get the same slot. Neither a slot nor a pause
# need reach the disk before the next caller has the row: all payments would wait for that. After a crash of the server
# at most the slots of a moment are given out again, to others than their callers, and the provider asks again to pause.
RESERVE = """
UPDATE pace SET next_at = greatest(next_at, clock_timestamp()) + $1::interval
FROM set_config('synchronous_commit', 'off', true)
WHERE next_at < clock_timestamp() + $2::interval
RETURNING extract(epoch FROM next_at - $1::interval - clock_timestamp())::float8
"""
NEXT = "SELECT extract(epoch FROM next_at - clock_timestamp())::float8 FROM pace"
IS_HELD = "SELECT held_until > clock_timestamp() FROM pace"
HOLD = """
UPDATE pace SET next_at = greatest(next_at, clock_timestamp() + $1::interval),
                held_until = greatest(held_until, clock_timestamp() + $1::interval)
FROM set_config('synchronous_commit', 'off', true)
"""


Rest = Callable[[float], Awaitable[None]]
"""Waits so many seconds, or raises what ends the waiting."""


async def take_slot(
    database: Database, limit: float, patience: timedelta = PATIENCE, rest: Rest = asyncio.sleep
) -> None:
    """Wait until one more call may be made; `limit` is in calls a second, 0 for none.

    Raises Postpone when that is further away than `patience`.
    """
    if limit == 0:
        return
    interval = timedelta(seconds=1 / (limit * SHARE_OF_LIMIT))
    clock = asyncio.get_running_loop().time
    while (wait := await _reserve(database, interval, patience)) > 0:
        slot = clock() + wait
        await rest(wait)
        if not await _is_held(database) and clock() < slot + MISSED:
            return


async def hold_off(database: Database, limit: float, pause: timedelta) -> None:
    """Let no replica call for as long as the provider asked."""
    if limit:
        await database.fetch(HOLD, pause)


async def _reserve(database: Database, interval: timedelta, patience: timedelta) -> float:
    """The seconds until the slot that is now ours."""
    if reserved := await database.fetch(RESERVE, interval, patience):
        return float(reserved[0][0])
    [(ahead,)] = await database.fetch(NEXT)
    # Back before the line is empty, so that no slot is lost.
    raise Postpone(max(timedelta(seconds=ahead) - patience / 2, timedelta(seconds=1)))


async def _is_held(database: Database) -> bool:
    """Whether the provider asked for a pause while we slept."""
    [(held,)] = await database.fetch(IS_HELD)
    return bool(held)
