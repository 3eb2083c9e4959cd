"""What alerts does later: end the quiet time after an alert, and tell what was held back in it."""

from collections.abc import Sequence
from datetime import timedelta

from backbone.context import Context
from backbone.events.payload import Cause
from backbone.jobs.work import Done, Job, Work
from backbone.running.retry import FOR_EVER
from backbone.storage.database import Tx
from services.alerts import decisions, store
from services.alerts.decisions import Alert
from services.alerts.events import Kind
from services.alerts.settings import Settings

QUIET = "quiet"


def keep_quiet(tx: Tx, sku: str, kind: Kind, cause: Cause) -> None:
    """Due at once: the job itself knows how long, and settles on the time."""
    tx.schedule(QUIET, f"{sku} {kind}", {"sku": sku, "kind": kind}, cause=cause)


async def measure(_: Job, context: Context[Settings]) -> timedelta:
    """How long the shop is left in peace; whether that is over is decided under the alert's row lock."""
    return context.settings.alert_quiet


async def look(done: Sequence[Done], tx: Tx) -> None:
    """End what is over, and tell what happened meanwhile; look again at what is not, when it will be."""
    alerts = await store.lock_all(tx, {each.job.data["sku"] for each in done})
    changed: list[Alert] = []
    for each in done:
        alert = alerts.get((each.job.data["sku"], each.job.data["kind"]))
        if alert is None or alert.quiet_since is None:
            continue
        after, told = decisions.end_quiet(alert, each.outcome, tx.now)
        changed.append(after)
        for payload in told:
            tx.publish(payload, key=alert.sku, cause=each.cause)
        if after.quiet_since is not None:
            due = after.quiet_since + each.outcome
            tx.schedule(QUIET, each.job.key, each.job.data, due=due, cause=each.cause)
    await store.save_all(tx, changed)


JOBS = {QUIET: Work(measure, look, FOR_EVER)}
