"""The job of alerts: it ends the quiet time after an alert, and tells what was held back in it."""

from collections.abc import Sequence
from datetime import timedelta

from backbone.context import Context
from backbone.jobs.work import Done, Job, Work
from backbone.running.retry import FOR_EVER
from backbone.storage.database import Tx
from services.alerts import decisions, store
from services.alerts.decisions import QUIET, Alert
from services.alerts.settings import Settings


async def measure(_: Job, context: Context[Settings]) -> timedelta:
    """Return how long the shop is left in peace after an alert.

    Whether that is over is decided under the alert's row lock.
    """
    return context.settings.alert_quiet


async def look(done: Sequence[Done], tx: Tx) -> None:
    """End the quiet times that are over and tell what happened in them.

    Those that are not over are looked at again when they are.
    """
    alerts = await store.lock_all(tx, {each.job.data["sku"] for each in done})
    changed: list[Alert] = []
    for each in done:
        alert = alerts[each.job.data["sku"]].get(each.job.data["kind"])
        if alert is None:
            continue
        decision = decisions.end_quiet(alert, each.outcome, tx.now)
        if decision.state != alert:
            changed.append(decision.state)
        tx.apply(decision, key=alert.sku, cause=each.cause)
    await store.save_all(tx, changed)


JOBS = {QUIET: Work(measure, look, FOR_EVER)}
