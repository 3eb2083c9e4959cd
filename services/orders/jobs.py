"""What orders does later: watch whether a step takes too long."""

from datetime import timedelta
from functools import partial

from backbone.database import Tx
from backbone.events import Cause
from backbone.jobs import Job, Settlement, Work
from backbone.retry import FOR_EVER
from backbone.service import Context
from services.orders import decisions, tables
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


async def watch(job: Job, context: Context[Settings]) -> Settlement:
    """Look at the order under its row lock; everything is decided there."""
    return partial(_look, job.key, context.settings.delay_after)


async def _look(order_id: str, limit: timedelta, tx: Tx) -> None:
    order = (await tables.load(tx.raw, [order_id])).get(order_id)
    if order is None or order.ended or order.delayed:
        return
    decision = decisions.delay(order, limit, tx.now)
    if decision is None:
        tx.schedule(DELAY_WATCH, order.id, due=order.stepped_at + limit)
    else:
        await tables.apply(tx, decision)


JOBS = {DELAY_WATCH: Work(run=watch, retry=FOR_EVER)}
