"""The job of orders: it watches whether a step takes too long."""

from collections.abc import Sequence
from datetime import timedelta

from backbone.context import Context
from backbone.decision import fold
from backbone.jobs.work import Done, Job, Work
from backbone.running.retry import FOR_EVER
from backbone.storage.database import Tx
from services.orders import decisions, store
from services.orders.decisions import DELAY_WATCH, Decision
from services.orders.order import Order
from services.orders.settings import Settings


async def watch(_: Job, context: Context[Settings]) -> timedelta:
    """Return how long a step may take.

    Whether this one took longer is decided under the order's row lock.
    """
    return context.settings.delay_after


async def look(done: Sequence[Done], tx: Tx) -> None:
    """Mark the orders that are late, and go on watching those that are not yet."""

    def decide(order: Order | None, each: Done) -> Decision | None:
        return decisions.delay(order, each.outcome, tx.now) if order else None

    orders = await store.lock_all(tx, (each.job.key for each in done))
    decided = fold(orders, done, lambda each: each.job.key, decide)
    for order, each, decision in decided:
        tx.apply(decision, key=order, cause=each.cause)
    await store.save_all(tx, [decision for _, _, decision in decided])


JOBS = {DELAY_WATCH: Work(watch, look, FOR_EVER)}
