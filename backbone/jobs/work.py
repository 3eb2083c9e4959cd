"""Describes jobs: work outside a transaction or later, written with the effect that asks for it, run by `worker.py`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from backbone.context import Context
from backbone.errors import SlicelineError
from backbone.events.payload import Cause
from backbone.running.retry import RetryPolicy
from backbone.settings import Settings
from backbone.storage import sql
from backbone.storage.database import Database, Tx

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Job:
    """Describes one attempt at a job."""

    id: int
    kind: str
    key: str
    data: dict[str, Any]
    attempt: int
    first_attempt_at: datetime
    scheduled_at: datetime
    cause: Cause
    lease: object


async def renew(database: Database, job: Job, lasting: timedelta) -> None:
    """Extend the job's lease to at least `lasting`, before doing what no other run should do as well.

    Raises LeaseLost when the job is not ours any more.
    """
    if not await sql.JOB_RENEW.fetch(database, id=job.id, lease=job.lease, lasting=lasting):
        raise LeaseLost


async def lock(tx: Tx, job: Job) -> None:
    """Lock the job until the transaction ends. Raises LeaseLost when it is not ours any more."""
    if not await sql.JOB_LOCK.fetch(tx.raw, id=job.id, lease=job.lease):
        raise LeaseLost


async def rest(context: Context[Any], seconds: float) -> None:
    """Wait before a job has done anything. Raises Postpone when the process stops."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await context.stopping.wait()
        raise Postpone(AT_ONCE)


@dataclass(frozen=True)
class Done:
    """Holds a job that is done, its outcome, and the cause of whatever it publishes."""

    job: Job
    outcome: Any
    cause: Cause
    is_given_up: bool = False
    """Whether the outcome is that of `exhausted`: the job has not succeeded."""


@dataclass(frozen=True)
class Work(Generic[S]):
    """Describes how jobs of one kind are done.

    `run` works outside any transaction, at least once, and returns what came of it. `settle` writes that in one
    transaction with the job's deletion, once, and only while the job is still ours: not withdrawn, not rescheduled, its
    lease not lost. Jobs that are done at the same moment are settled together; an outcome of None needs no settling.
    What is published, is published with `cause=done.cause`.
    """

    run: Callable[[Job, Context[S]], Awaitable[Any]]
    settle: Callable[[Sequence[Done], Tx], Awaitable[None]]
    retry: RetryPolicy
    concurrency: int = 4
    lease: timedelta = timedelta(seconds=60)
    exhausted: Callable[[Job], Any] | None = None
    """The outcome to settle when the policy gives up; without it the job is parked."""
    repeatable: bool = True
    """Whether the other side recognises what it was asked before; else a replay starts none that was done."""


AT_ONCE = timedelta(0)


class LeaseLost(SlicelineError):
    """The job was withdrawn, rescheduled or taken over while it ran; nothing of this run is recorded."""


class Postpone(SlicelineError):
    """Not now: the job is due again after the delay, and this does not count as an attempt."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__()
        self.delay = delay
