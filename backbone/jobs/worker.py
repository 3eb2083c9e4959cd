"""Claims due jobs of one kind under a lease, does them outside any transaction, and settles each once."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
from opentelemetry.trace import SpanKind
from structlog.contextvars import bound_contextvars

from backbone.context import Context
from backbone.events.payload import Cause
from backbone.jobs import breaker
from backbone.jobs.work import AT_ONCE, Done, Job, LeaseLost, Postpone, Work
from backbone.observing import metrics
from backbone.observing.logs import logger
from backbone.observing.telemetry import Attributes, span, traceparent_of
from backbone.running.coalescer import PATIENCE, Coalescer
from backbone.running.faults import is_outside, is_passing
from backbone.running.hurry import hurried
from backbone.running.pulse import RESTART, Pulse, describe, keep_running, report
from backbone.running.retry import repeat
from backbone.storage import sql
from backbone.storage.database import LONGEST_WAIT
from backbone.storage.statement import Statement
from backbone.storage.wakeups import SLEEP

POLL = 0.5
"""Seconds between looks for due jobs where nothing is heard of other processes; after a job, too."""
AGAIN = timedelta(seconds=0.1)
"""How soon a job that is due and was not to be had is looked for again."""
GRACE = 6.0
"""Seconds that jobs in hand have after a stop; the rest of the process's time is for recording what they did."""


class Worker:
    """Does the jobs of one kind until stopped."""

    def __init__(self, kind: str, work: Work[Any], context: Context[Any]) -> None:
        self.pulse = Pulse(f"jobs {kind}")
        self._kind = kind
        self._work = work
        self._context = context.for_jobs
        self._database = self._context.database
        self._may_have_more = True
        self._running: set[asyncio.Task[None]] = set()
        self._trial: object = None
        self._settling = Coalescer(f"settling {kind}", self._settle_all)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Claim nothing more; jobs in hand have `GRACE` to end, and what they did is recorded."""
        self._stop.set()
        self._database.wakeups.jobs(self._kind).set()

    async def run(self) -> None:
        """Work until `stop`. A job cut off in the middle becomes due again when its lease ends: nobody knows."""
        try:
            await keep_running(self.pulse, self._step, self._stop)
            await asyncio.gather(*self._running)
        finally:
            for task in self._running:
                task.cancel()

    async def _step(self) -> None:
        wake = self._database.wakeups.jobs(self._kind)
        wake.clear()
        self.pulse.beat(LONGEST_WAIT)
        free = self._work.concurrency - len(self._running)
        claimed = await self._claim(free) if free else []
        self._may_have_more = len(claimed) == free
        for job in claimed:
            task = asyncio.create_task(self._do(job))
            self._running.add(task)
            task.add_done_callback(self._done)
        self.pulse.ready()
        if len(claimed) < free or not free:
            await self._wait(wake, POLL if claimed or not free else await self._until_due())

    async def _wait(self, wake: asyncio.Event, longest: float) -> None:
        """Wait until there may be something to claim, or it is time to look again."""
        self.pulse.beat(longest)
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await wake.wait()

    async def _until_due(self) -> float:
        """Return the seconds until there may be a job that nobody will tell of."""
        if not self._database.wakeups.is_listening:
            return POLL
        next_one = await sql.JOB_NEXT.fetch(self._database, kind=self._kind)
        left = next_one[0]["due"] - self._database.now() if next_one else SLEEP
        # One that is due and was not claimed has become due just now, or is locked by somebody.
        return min(max(left, AGAIN), SLEEP).total_seconds()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._may_have_more:
            self._database.wakeups.jobs(self._kind).set()

    async def _claim(self, most: int) -> list[Job]:
        rows = await sql.JOB_CLAIM.fetch(self._database, kind=self._kind, lease=self._work.lease, most=most)
        if rows and rows[0]["is_trial"]:
            self._trial = rows[0]["lease"]
        return [_job(row) for row in rows]

    async def _do(self, job: Job) -> None:
        attributes: Attributes = {"sliceline.job": job.kind, "sliceline.key": job.key, "sliceline.attempt": job.attempt}
        with (
            bound_contextvars(job=job.kind, key=job.key),
            span(f"job {job.kind}", SpanKind.INTERNAL, parent=job.cause.traceparent, attributes=attributes) as current,
        ):
            cause = Cause(job.cause.correlationid, job.cause.causationid, traceparent_of(current))
            outcome = await self._attempt(job, cause)
            await self._end_trial(job, outcome)
        metrics.JOBS_DONE.labels(job.kind, outcome).inc()

    async def _end_trial(self, job: Job, outcome: str) -> None:
        """Have all workers go on at once when the job that was tried after a rest has succeeded; else try another.

        One that has failed for something outside is noted already.
        """
        if job.lease != self._trial:
            return
        self._trial = None
        if outcome != "done":
            await self._noting(breaker.end_trial(self._database, self._kind))
        self._database.wakeups.rouse("job", self._kind)

    async def _attempt(self, job: Job, cause: Cause) -> str:
        try:
            outcome = await self._run(job)
            await self._settle(Done(job, outcome, cause))
        except Postpone as later:
            await self._record(sql.JOB_POSTPONE, job, delay=later.delay)
            return "postponed"
        except LeaseLost:
            logger.info("a job was no longer ours", action="job-lease-lost")
            return "lost"
        except TimeoutError as error:
            return "cut off" if self._stop.is_set() else await self._failed(job, error, cause)
        except Exception as error:
            return await self._failed(job, error, cause)
        return "done"

    async def _run(self, job: Job) -> Any:
        if self._stop.is_set():  # claimed at the last moment
            raise Postpone(AT_ONCE)
        async with hurried(self._work.lease.total_seconds(), self._stop, GRACE):
            return await self._work.run(job, self._context)

    async def _settle(self, done: Done) -> None:
        """Record a job's outcome, waiting out passing faults for as long as the job is ours.

        Whoever meets a row that somebody holds waits for it here, where it keeps no other job from being recorded.
        """
        patience = replace(RESTART, within=self._work.lease)
        await repeat(lambda: self._settling.submit(done), patience, is_passing, partial(report, self.pulse.name))

    async def _settle_all(self, done: Sequence[Done]) -> Sequence[None]:
        """Record the outcomes of these jobs in one transaction. Raises LeaseLost when one is not ours any more."""
        async with self._database.transaction(patience=PATIENCE) as tx:
            if telling := [each for each in done if each.outcome is not None]:
                await self._work.settle(telling, tx)
            # The jobs' rows come after the rows of the settlement, in the order in which consumers lock them.
            succeeded = None if all(each.is_given_up for each in done) else self._kind
            ours = await sql.JOBS_SETTLE.fetch(tx.raw, done=[each.job for each in done], succeeded=succeeded)
            if len(ours) < len(done):
                raise LeaseLost
        return [None] * len(done)

    async def _failed(self, job: Job, error: Exception, cause: Cause) -> str:
        if is_outside(error):
            await self._note_failure(job, error)
        delay = self._work.retry.next_delay(job.attempt, self._database.now() - job.first_attempt_at)
        if delay is not None:
            report(self.pulse.name, error, delay)
            await self._record(sql.JOB_RETRY, job, delay=delay, error=describe(error))
            return "retried"
        logger.error("a job was given up", action="job-exhausted", error=describe(error), exc_info=error)
        try:
            await self._give_up(job, error, cause)
        except LeaseLost:
            return "lost"
        except Exception as trouble:
            report(self.pulse.name, trouble, self._work.lease)  # the lease's end makes the job due again
        return "exhausted"

    async def _note_failure(self, job: Job, error: Exception) -> None:
        """Note that something outside is away, which may let all jobs of the kind rest."""
        is_trial, self._trial = job.lease == self._trial, None if job.lease == self._trial else self._trial
        said = describe(error)
        await self._noting(breaker.note_failure(self._database, self._kind, job.key, said, is_trial=is_trial))

    async def _noting(self, noting: Awaitable[None]) -> None:
        """Await what is noted of a rest; if it fails, the rest ends by its time."""
        try:
            await noting
        except Exception as trouble:
            report(self.pulse.name, trouble, self._work.lease)

    async def _give_up(self, job: Job, error: Exception, cause: Cause) -> None:
        if self._work.exhausted is None:
            await self._record(sql.JOB_PARK, job, error=describe(error))
        else:
            await self._settling.submit(Done(job, self._work.exhausted(job), cause, is_given_up=True))

    async def _record(self, statement: Statement, job: Job, **given: Any) -> None:
        """Run a statement about the job; if even this fails, the lease's end makes the job due again."""
        try:
            await statement.fetch(self._database, id=job.id, lease=job.lease, **given)
        except Exception as error:
            report(self.pulse.name, error, self._work.lease)
        if given.get("delay", SLEEP) < SLEEP:
            self._database.wakeups.jobs(self._kind).set()


def _job(row: asyncpg.Record) -> Job:
    return Job(
        id=row["id"],
        kind=row["kind"],
        key=row["key"],
        data=row["data"],
        attempt=row["attempts"],
        first_attempt_at=row["first_attempt_at"],
        scheduled_at=row["scheduled_at"],
        cause=Cause(row["correlationid"], row["causationid"], row["traceparent"]),
        lease=row["lease"],
    )
