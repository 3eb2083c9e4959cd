"""Gives acts their places in the log, and has an event tell of them: one process of a service at a time.

Place and event are one transaction: what is in the chain is published, and is missed when somebody takes it out.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from backbone.context import Context
from backbone.events.acts import ActsRecorded
from backbone.observing.logs import logger
from backbone.running.pulse import Pulse, describe, keep_running
from backbone.storage import audit
from backbone.storage.database import LONGEST_WAIT, Database
from backbone.storage.wakeups import SLEEP

MOST = 20
"""Acts told in one event; so many of the longest are well under what travels in a topic."""


class Chaining:
    """Chains what waits until stopped, and has refusals written down that were counted for a minute."""

    def __init__(self, context: Context[Any], payload: type[ActsRecorded] | None, *, chains: bool) -> None:
        """`payload`: the service's own event, where it has one. `chains`: whether it does more than count."""
        self.pulse = Pulse("audit")
        self._context = context
        self._payload = payload
        self._chains = chains
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Return from `run` as soon as possible."""
        self._stop.set()
        self._context.database.wakeups.noted()

    async def run(self) -> None:
        """Chain until `stop`, and then what is there by now."""
        await keep_running(self.pulse, self._step, self._stop)
        try:
            await self._write(is_over=True)
        except Exception as error:  # what was to be chained waits for the next start
            logger.warning("acts wait for the next start", action="acts-late", error=describe(error))

    async def _step(self) -> None:
        if self._chains:
            self._context.database.wakeups.acts.clear()
        await self._write()
        self.pulse.ready()
        self.pulse.beat(SLEEP.total_seconds())
        with suppress(TimeoutError):
            async with asyncio.timeout(SLEEP.total_seconds()):
                await (self._context.database.wakeups.acts if self._chains else self._stop).wait()

    async def _write(self, *, is_over: bool = False) -> None:
        self.pulse.beat(LONGEST_WAIT)
        await self._context.acts.flush(all_of_them=is_over)
        if self._chains and await audit.some_wait(self._context.database.for_queries):
            await chain(self._context.database, self._payload)


async def chain(database: Database, payload: type[ActsRecorded] | None) -> int:
    """Give all acts that wait their places; return how many."""
    total = 0
    while True:
        async with database.transaction() as tx:
            rows = await audit.chain(tx, MOST)
            if rows and payload:
                tx.publish(_told(rows, payload), key=database.service)
        total += len(rows)
        if len(rows) < MOST:
            return total


def _told(rows: Sequence[asyncpg.Record], payload: type[ActsRecorded]) -> ActsRecorded:
    return payload(
        first=rows[0]["number"],
        last=rows[-1]["number"],
        previous=rows[0]["previous"],
        hash=rows[-1]["hash"],
        acts=tuple(row["entry"] for row in rows),
    )
