"""What orders does later: watch whether a step takes too long."""

from collections.abc import Sequence
from datetime import timedelta

from backbone.context import Context
from backbone.events.payload import Cause
from backbone.jobs.work import Done, Job, Work
from backbone.running.retry import FOR_EVER
from backbone.storage.database import Tx
from services.orders import decisions, store
from services.orders.order import Order
from services.orders.settings import Settings

DELAY_WATCH = "delay-watch"


def keep_watch(tx: Tx, before: Order, after: Order, cause: Cause) -> None:
    """An ended order is watched no more; one that was late and has moved on is watched again."""
    if after.ended:
        tx.withdraw(DELAY_WATCH, after.id)
    elif before.delayed and not after.delayed:
        # Due at once: the job itself knows the limit and settles on the time.
        tx.schedule(DELAY_WATCH, after.id, cause=cause)


async def watch(_: Job, context: Context[Settings]) -> timedelta:
    """How long a step may take; whether this one took longer is decided under the order's row lock."""
    return context.settings.delay_after


async def look(done: Sequence[Done], tx: Tx) -> None:
    """Mark the orders that are late, and watch on those that are not yet."""
    orders = await store.lock_all(tx, (each.job.key for each in done))
    for each in done:
        order, limit = orders.get(each.job.key), each.outcome
        if order is None or order.ended or order.delayed:
            continue
        decision = decisions.delay(order, limit, tx.now)
        if decision is None:
            tx.schedule(DELAY_WATCH, order.id, due=order.stepped_at + limit, cause=each.cause)
        else:
            await store.apply(tx, decision, each.cause)


JOBS = {DELAY_WATCH: Work(watch, look, FOR_EVER)}
