"""Reminds when it is time."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from backbone.context import Context
from backbone.decision import Decision, fold
from backbone.jobs.work import Done, Job, Work
from backbone.running.coalescer import MOST
from backbone.running.retry import FOR_EVER
from backbone.storage.database import Tx
from services.reminders import decisions, store
from services.reminders.decisions import REMIND, WAITED, Reminder
from services.reminders.settings import Settings


async def look(_: Job, context: Context[Settings]) -> timedelta:
    """Say how long customers are left alone; whether it was so long is decided under the cart's row lock."""
    return context.settings.remind_after


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Have those reminded whose time has come, and look again at the others later."""

    def decide(known: Reminder | None, each: Done) -> Decision[Reminder] | None:
        return decisions.remind(known, each.outcome, tx.now, has_waited=each.job.data == WAITED) if known else None

    reminders = await store.lock_all(tx, {each.job.key for each in done})
    decided = fold(reminders, done, lambda each: each.job.key, decide)
    for cart, each, decision in decided:
        tx.apply(decision, key=cart, cause=each.cause)
    await store.save_all(tx, [decision.state for _, _, decision in decided if decision.events])


# As many at once as are settled together: what is due in one minute goes out in it.
JOBS: Mapping[str, Work[Settings]] = {REMIND: Work(look, settle, FOR_EVER, concurrency=MOST)}
