"""Goes on with redrives in the background: a job takes a plan's steps, whatever ended meanwhile."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from backbone.consuming.handlers import Handlers
from backbone.consuming.redrive import Redrive
from backbone.context import Context
from backbone.jobs.work import AT_ONCE, Done, Job, Postpone, Work, rest
from backbone.running.pulse import RESTART
from backbone.storage.database import Tx

SPELL = 20.0
"""Seconds after which a plan's job makes room and is due again at once; its lease is far longer."""
NAP = timedelta(seconds=2)
"""What a slow plan waits for longer, it waits for as a job that is not due."""


def work(name: str, handlers: Handlers) -> Work[Any]:
    """Describe how the plans of one service are gone on with; a fault that passes is waited out."""

    async def run(job: Job, context: Context[Any]) -> None:
        going = Redrive(context.database, name, handlers, int(job.key))
        until = time.monotonic() + SPELL
        while time.monotonic() < until and not context.stopping.is_set():
            wait = await going.wait()
            if wait > NAP:
                raise Postpone(wait)
            await rest(context, wait.total_seconds())
            if not await going.step():
                return
        raise Postpone(AT_ONCE)

    return Work(run=run, settle=_settle, retry=RESTART, concurrency=2, lease=timedelta(minutes=3))


async def _settle(_: Sequence[Done], __: Tx) -> None:
    """Write nothing: a plan's steps have written all there is to tell."""
