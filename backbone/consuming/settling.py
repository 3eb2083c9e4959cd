"""Applies a batch however long its passing faults last, and halves it down to the event that is guilty.

A passing fault is waited out and never skipped. A batch that fails otherwise is halved until the guilty event stands
alone and is parked. A batch that takes too long is halved as well, down to events that are waited for one by one.
Data that did not come along is fetched before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from backbone.consuming import claims
from backbone.consuming.batch import Batch
from backbone.consuming.batch_processor import BatchProcessor, Fenced
from backbone.errors import SlicelineError
from backbone.running.faults import is_passing, may_be_too_much
from backbone.running.pulse import RESTART, Pulse, describe, report
from backbone.storage import objects

T = TypeVar("T")
_Judge = Callable[[Exception], bool]


class Settling:
    """Settles one consumer's batches."""

    def __init__(
        self, processor: BatchProcessor, pulse: Pulse, stop: asyncio.Event, settled: Callable[[Batch], None]
    ) -> None:
        """`settled` is called with each batch, or part of one, that is applied or parked."""
        self._processor = processor
        self._pulse = pulse
        self._stop = stop
        self._settled = settled

    async def settle(self, batch: Batch) -> None:
        """Apply a batch, in parts where it must be, and park what cannot be. Raises Fenced.

        What cannot even be parked is not gone past: its error is raised.
        """
        if not batch.ranges:
            return
        several = len(batch.incoming) > 1
        if several and claims.are_too_much(batch):
            await self._settle_halves(batch)
            return
        batch = await self._fetched(batch)
        trying = _Trying(self._processor, batch)
        error = await self._lasting(trying.apply, may_shrink=several)
        if error is not None and several:
            await self._settle_halves(trying.batch)
            return
        if error is not None and not isinstance(error, SlicelineError):  # it may be the connection's: a new one tells
            error = await self._lasting(lambda: trying.apply(fresh=True))
        if error is not None:
            await self.outlast(lambda: self._processor.park(batch, error))
        self._settled(batch)

    async def _settle_halves(self, batch: Batch) -> None:
        for half in batch.halves():
            await self.settle(half)

    async def _fetched(self, batch: Batch) -> Batch:
        """Return a batch with the data of all its events, however long the store is away. Raises Fenced."""
        if not batch.not_fetched:
            return batch
        return await self.outlast(lambda: claims.redeem(batch, self._processor.views, self._beat))

    def _beat(self) -> None:
        self._pulse.beat(objects.WITHIN)

    async def outlast(
        self, work: Callable[[], Awaitable[T]], passes: _Judge = is_passing, gives_up: _Judge = lambda _: False
    ) -> T:
        """Repeat work, waiting while its faults pass; raise the error that lasts, or one on which it `gives_up`.

        Raises Fenced when the consumer stops.
        """
        attempt = 0
        while True:
            try:
                return await work()
            except Exception as error:
                if not passes(error):
                    raise
                attempt += 1
                await self._wait_out(error, attempt)
                if gives_up(error):
                    raise

    async def _lasting(self, work: Callable[[], Awaitable[None]], *, may_shrink: bool = False) -> Exception | None:
        """Outlast passing faults and return the error that lasts, None after success. Raises Fenced.

        What `may_shrink` is given back after a passing fault too, where less of it may succeed.
        """
        try:
            await self.outlast(work, gives_up=lambda error: may_shrink and may_be_too_much(error))
        except Fenced:
            raise
        except Exception as error:
            return error
        return None

    async def _wait_out(self, error: Exception, attempt: int) -> None:
        if self._stop.is_set():
            raise Fenced  # what is not committed is read again at the next start
        delay = RESTART.next_delay(attempt, timedelta(0)) or RESTART.longest
        self._pulse.problem = describe(error)
        report("consumer", error, delay)
        await self._pulse.rest(delay)


class _Trying:
    """Applies a batch, and notes in it what it has failed for so far."""

    def __init__(self, processor: BatchProcessor, batch: Batch) -> None:
        self._processor = processor
        self.batch = batch

    async def apply(self, *, fresh: bool = False) -> None:
        try:
            await self._processor.apply(self.batch, fresh=fresh)
        except Fenced:
            raise
        except Exception as error:
            self.batch = self._processor.failed(self.batch, error)
            raise
