"""Lets jobs of a kind rest while what they call is away, and tries one now and then (a circuit breaker).

All replicas share the state, a row of the table `breakers`. Several jobs in a row, each another one, have to fail for
something outside before their kind rests: one that fails for itself keeps nobody back. Then one job at a time is
tried, after longer and longer rests; the first that succeeds, whichever it is, lets all go on.
"""

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from backbone.observing.logs import logger
from backbone.running.retry import RetryPolicy
from backbone.storage import sql
from backbone.storage.database import Database

FAILURES = 5
"""So many different jobs fail in a row before their kind rests."""
REST = RetryPolicy(first=timedelta(seconds=2), longest=timedelta(seconds=30))


class Breaker(msgspec.Struct, frozen=True):
    """Holds which jobs of a kind have failed since the last that succeeded, and how long the kind rests."""

    keys: tuple[str, ...] = ()
    rests: int = 0
    opened_at: datetime | None = None
    rests_until: datetime | None = None
    error: str | None = None


def failed(breaker: Breaker, key: str, error: str, now: datetime, *, is_trial: bool) -> Breaker:
    """Decide what a failure of something outside means. `is_trial`: it was the one job that was tried after a rest."""
    if breaker.opened_at is None:
        return _counted(breaker, key, error, now)
    if not is_trial:  # it was in hand already when the rest began
        return breaker
    return _resting(replace(breaker, error=error), now)


def _counted(breaker: Breaker, key: str, error: str, now: datetime) -> Breaker:
    keys = tuple(dict.fromkeys((*breaker.keys, key)))
    counted = replace(breaker, keys=keys, error=error)
    return counted if len(keys) < FAILURES else _resting(replace(counted, opened_at=now), now)


def _resting(breaker: Breaker, now: datetime) -> Breaker:
    rests = breaker.rests + 1
    return replace(breaker, rests=rests, rests_until=now + (REST.next_delay(rests, timedelta(0)) or REST.longest))


async def note_failure(database: Database, kind: str, key: str, error: str, *, is_trial: bool) -> None:
    """Store what a failure means for all jobs of its kind."""
    async with database.transaction() as tx:
        row = await sql.BREAKER_LOCK.fetchrow(tx.raw, kind=kind)
        before = msgspec.convert(dict(row or {}), Breaker)
        after = failed(before, key, error, tx.now, is_trial=is_trial)
        if after != before:
            await sql.BREAKER_SAVE.execute(tx.raw, kind=kind, **msgspec.structs.asdict(after))
    if before.opened_at is None and after.opened_at is not None:
        logger.warning("jobs rest, what they call fails", action="jobs-resting", kind=kind, error=error)


async def end_trial(database: Database, kind: str) -> None:
    """Let another job be tried at once: the one that was says nothing of what is outside."""
    await sql.BREAKER_TRY_ANOTHER.fetch(database, kind=kind)
