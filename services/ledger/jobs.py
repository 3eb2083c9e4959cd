"""The jobs of the ledger: one makes the partitions of the coming days, and drops those whose time is over.

One looks whether the balance sheet balances, `balance/jobs.py`, and one for contracts to tell of, `releases.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from backbone.context import Context
from backbone.jobs.work import Done, Job, Work
from backbone.observing.logs import logger
from backbone.running.retry import FOR_EVER
from backbone.storage.database import Tx
from services.ledger import releases, store
from services.ledger.balance import jobs as balance
from services.ledger.balance.jobs import BALANCE
from services.ledger.balance.store import forget_copies
from services.ledger.kept import day_of
from services.ledger.releases import RELEASES
from services.ledger.settings import Settings

PARTITION = "partition"
"""The first one is scheduled by the migration that makes the table."""
EVERY = timedelta(hours=1)
AHEAD = 7
"""Days that have a partition before their first event comes: so long this job may fail before anybody need look."""


async def partition(_: Job, context: Context[Settings]) -> date:
    """Bring the partitions to what they should be now, each change in a transaction of its own.

    What came for a day without a partition, because nobody had made one yet, moves there. What is older than anything
    that is kept, or far ahead, stays with the rest, for as long as everything is kept.
    """
    now = context.database.now()
    first, last = window(now, context.settings.ledger_days)
    async with context.database.transaction() as tx:
        wanted = coming(now) | await store.days_of_rest(tx.raw, first, last)
        there = await store.days(tx.raw)
    if missing := wanted - there:
        async with context.database.transaction() as tx:
            await store.make(tx, missing)
    if over := {day for day in there if day < first}:
        async with context.database.transaction() as tx:
            await store.drop(tx, over)
        logger.info("days of the archive were dropped", action="days-dropped", days=len(over), before=str(first))
    async with context.database.transaction() as tx:
        await store.forget_rest(tx, now - timedelta(days=context.settings.ledger_days))
        await forget_copies(tx, now - timedelta(days=context.settings.ledger_days))
    return first


def window(now: datetime, kept_days: int) -> tuple[date, date]:
    """Return the first and the last day that may have a partition."""
    today = day_of(now)
    return today - timedelta(days=kept_days), today + timedelta(days=AHEAD)


def coming(now: datetime) -> set[date]:
    """Return the days that are to have a partition whether anything came for them or not."""
    return {day_of(now) + timedelta(days=ahead) for ahead in range(AHEAD + 1)}


async def again(done: Sequence[Done], tx: Tx) -> None:
    """Have partitions looked at again in an hour."""
    for each in done:
        tx.schedule(PARTITION, each.job.key, due=tx.now + EVERY, cause=each.cause)


JOBS: Mapping[str, Work[Settings]] = {
    PARTITION: Work(partition, again, FOR_EVER, concurrency=1),
    RELEASES: Work(releases.run, releases.settle, FOR_EVER, concurrency=1),
    BALANCE: Work(balance.run, balance.settle, FOR_EVER, concurrency=1),
}
