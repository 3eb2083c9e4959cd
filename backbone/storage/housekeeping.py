"""Prunes what would grow for ever: inbox, replies under an Idempotency-Key, discarded letters, reports, old pauses,
and in the object store what the service has put there.

A job that is done leaves no row but one about its attempts, where they were several; one that was given up stays until
somebody starts it anew or it is withdrawn. Tables of its own a service prunes by a job. How long each is kept, and what
has to outlast what, `settings.py` checks.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from backbone.running.pulse import Pulse, keep_running
from backbone.settings import Settings
from backbone.storage import objects, sql
from backbone.storage.database import LONGEST_WAIT, Database
from backbone.storage.statement import Statement

EVERY = timedelta(minutes=10)


class Housekeeping:
    """Prunes every ten minutes until stopped."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.pulse = Pulse("housekeeping")
        self._database = database
        self._settings = settings
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Return from `run` as soon as possible."""
        self._stop.set()

    async def run(self) -> None:
        """Prune until `stop`."""
        await keep_running(self.pulse, self._step, self._stop)

    async def _step(self) -> None:
        self.pulse.ready()
        self.pulse.beat(EVERY.total_seconds())
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY.total_seconds()):
                await self._stop.wait()
            return
        for statement in (sql.INBOX_PRUNE, sql.RETRIED_JOBS_PRUNE):
            await self._prune(statement, timedelta(days=self._settings.inbox_days))
        await self._prune(sql.KEYS_PRUNE, timedelta(days=self._settings.idempotency_days))
        for statement in (sql.DISCARDED_PRUNE, sql.EDITED_PRUNE, sql.REDRIVES_PRUNE, sql.ACTS_PRUNE, sql.PAUSES_PRUNE):
            await self._prune(statement, timedelta(days=self._settings.letter_days))
        await self._purge_objects(timedelta(days=self._settings.object_days))

    async def _purge_objects(self, kept: timedelta) -> None:
        def beat() -> None:
            self.pulse.beat(objects.WITHIN)

        await objects.purge(self._database.service, self._database.now(), kept, beat)

    async def _prune(self, statement: Statement, older_than: timedelta) -> None:
        await prune(self._database, statement, older_than, lambda: self.pulse.beat(LONGEST_WAIT))


async def prune(
    database: Database, statement: Statement, older_than: timedelta, beat: Callable[[], None] = lambda: None
) -> int:
    """Delete what nobody will ask for again, some thousands in a transaction; return how many rows.

    `beat` is called before every transaction.
    """
    total = 0
    while True:
        beat()
        async with database.transaction() as tx:
            deleted = await statement.execute(tx.raw, age=older_than)
        total += deleted
        if deleted == 0:
            return total
