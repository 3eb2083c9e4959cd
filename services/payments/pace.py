"""The pace of calls to the provider, shared by all replicas: one row in the database gives out the slots.

A generic cell rate algorithm without a burst: each call moves `next_at` on by one interval, so calls are evenly
spread over time, whoever makes them. All times are the database's, so clocks need not agree.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from backbone.jobs.work import Postpone
from backbone.storage.database import Database
from services.payments import store

# What is left of the limit is for the uneven time that calls take to get there.
SHARE_OF_LIMIT = 0.95
# A slot further away than this is not waited for: the job is put off, rather than held under its lease.
PATIENCE = timedelta(seconds=8)
# Who wakes so many seconds late has missed its slot: after a stall of the process all would call at once otherwise.
MISSED = 0.5

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
        if not await store.is_held(database) and clock() < slot + MISSED:
            return


async def hold_off(database: Database, limit: float, pause: timedelta) -> None:
    """Let no replica call for as long as the provider asked."""
    if limit:
        await store.hold_off(database, pause)


async def _reserve(database: Database, interval: timedelta, patience: timedelta) -> float:
    """Reserve a slot and return the seconds until it.

    Raises Postpone when the next one is further away than `patience`.
    """
    reserved = await store.reserve_slot(database, interval, patience)
    if reserved is not None:
        return reserved
    # Back before the line is empty, so that no slot is lost.
    ahead = timedelta(seconds=await store.find_next_slot(database))
    raise Postpone(max(ahead - patience / 2, timedelta(seconds=1)))
