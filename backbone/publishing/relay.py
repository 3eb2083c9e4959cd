"""Runs the relay: takes the oldest rows out of the outbox, publishes them, and commits when Kafka has all of them.

At least once and in order. A send that fails or times out is unknown: the transaction is rolled back, the rows are
still there, and they are sent again by a new producer. Only one relay of a database works at a time.

A transaction takes batch after batch: while Kafka acknowledges one, the next is packed and the one after is taken
(deleted) from the outbox. A batch is sent when all of the one before is acknowledged. Why this neither loses nor swaps:

- One connection, one transaction, one lock: nobody else publishes meanwhile, and there is no second reader whose rows
  could pass the first's. What was taken ahead but not sent comes back with the rollback.
- Every batch asks anew for the oldest visible rows. "What comes after the last position" would be wrong even inside
  one transaction: a lower position may have become visible since, and a later one of its key may be in the next batch.
- The commit waits for every acknowledgement. It does not wait for the disk: should the server lose it, the rows are
  back and go out again, as after any other unknown end.
- A transaction cut off by its server can still have a batch in flight, or send the one it has packed, while another
  relay starts anew. Both send in order from the same beginning, so an event's first appearance still follows that of
  the one before it; the rest are repetitions, which every reader expects.

Batches double while there is more to take, so that a single event is not kept waiting and a backlog is carried in few
trips. After a failure they start from a single row, and each small one is committed by itself: what a broker finds too
large shrinks until it fits, and what went through stays through. A single row that Kafka refuses for its own sake will
never fit: it is set aside in `refused_events`, where an operator sees it, with the later ones of its key behind it.

Data that is too large for a topic is in its outbox row until here. It is put into the object store when its row is
packed, which is before the row is sent, and the commit that deletes the row comes after both (claim check). A batch
has no more of them than are put at once, and after so many the transaction takes no more. However slow the store, a
beat comes in time then, the connection is not idle for long, and what went through stays through.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from backbone.events.dataref import LARGEST_INLINE
from backbone.observing import metrics
from backbone.publishing import refused
from backbone.publishing.publisher import SEND_DEADLINE, PackedRows, Publisher, Refused
from backbone.running.gather_or_cancel import gather_or_cancel
from backbone.running.pulse import Pulse, keep_running
from backbone.storage import sql
from backbone.storage.database import LONGEST_WAIT, Database, Tx
from backbone.storage.objects import SIDE_BY_SIDE
from backbone.storage.wakeups import SLEEP
from backbone.values.brokers import Brokers

FEWEST, MOST = 100, 1000
"""Rows of a batch: without a backlog, and with one."""
LARGE = 4 * 1024 * 1024
"""Bytes of data from which a batch shrinks again: three of them are in memory at a time."""
LONGEST = 10_000
"""Rows after which a transaction takes no more; a failure repeats little more than these."""


class _Outdated(Exception):
    """A key was closed since the rows were taken: take them again, without those behind it."""


class Relay:
    """Publishes one service's outbox until stopped."""

    def __init__(self, database: Database, kafka: Brokers, *, poll: float = 1.0) -> None:
        """`poll`: seconds between two looks at the outbox where nothing is heard of what others commit."""
        self.pulse = Pulse("relay")
        self._database = database
        self._publisher = Publisher(kafka, database.service)
        self._poll = poll
        self._size = FEWEST
        self._more = False
        self._stands_by = False
        self._some_refused = False
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Publish until `stop`; what is in the outbox by then is left for the next start."""
        try:
            await keep_running(self.pulse, self._step, self._stop)
        finally:
            await self._publisher.close()

    def stop(self) -> None:
        """Finish the batch in hand, then return from `run`."""
        self._stop.set()
        self._database.wakeups.outbox.set()

    async def _step(self) -> None:
        self._database.wakeups.outbox.clear()
        self.pulse.beat(SEND_DEADLINE)
        try:
            await self._publisher.open()
            self.pulse.beat(LONGEST_WAIT)
            await self._publish()
        except BaseException as error:
            self._size = 1
            await self._publisher.close()
            if not isinstance(error, Refused):
                raise
            self.pulse.beat(LONGEST_WAIT)
            await refused.set_aside(self._database, error.id, str(error))
            self._more = True
        self.pulse.ready()
        if not self._more and not self._stop.is_set():
            await self._wait()

    async def _wait(self) -> None:
        """Wait until there may be something to publish; not long where another relay was met: it may have stopped."""
        wakeups = self._database.wakeups
        sleeps = wakeups.is_listening and not self._stands_by
        longest = max(self._poll, SLEEP.total_seconds()) if sleeps else self._poll
        self.pulse.beat(longest)
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await wakeups.outbox.wait()

    async def _publish(self) -> None:
        """Publish in one transaction; stand by where another relay works."""
        self._more = False
        with suppress(_Outdated):
            async with self._database.transaction() as tx:
                self._stands_by = not await sql.RELAY_LOCK.fetchval(tx.raw)
                if not self._stands_by:
                    await self._publish_taken(tx)

    async def _publish_taken(self, tx: Tx) -> None:
        """Send one batch in each round, pack the rows of the next, and take those of the one after."""
        count, large, longest = 0, 0, LONGEST if self._size >= FEWEST else 1
        rows: list[asyncpg.Record] = await self._take(tx)
        batch: PackedRows | None = None
        while rows or batch:
            count, large = count + len(rows), large + _large_among(rows)
            ahead = self._more and count < longest and large < SIDE_BY_SIDE and not self._stop.is_set()
            _, rows, batch = await gather_or_cancel(
                self._send(batch),
                self._take(tx) if ahead else _nothing(),
                self._publisher.pack(rows, self._database.now()),
            )
            self.pulse.beat(LONGEST_WAIT)

    async def _take(self, tx: Tx) -> list[asyncpg.Record]:
        sifted = self._some_refused
        take = sql.RELAY_TAKE_OPEN if sifted else sql.RELAY_TAKE
        rows = await take.fetch(tx.raw, most=self._size)
        self._more = len(rows) == self._size or _large_among(rows) == SIDE_BY_SIDE
        if rows:
            self._some_refused = rows[0]["some_refused"]
            if self._some_refused and not sifted:
                self._more = True
                raise _Outdated
        self._size = _next_size(rows, self._size) if self._more else FEWEST
        return [row for row in rows if not row["is_behind"]] if sifted else rows

    async def _send(self, batch: PackedRows | None) -> None:
        if batch is None:
            return
        await self._publisher.send(batch)
        metrics.RELAYED.inc(batch.count)
        exemplar = metrics.exemplar_of(next(iter(batch.traceparents), None))
        metrics.OUTBOX_WAIT.observe((self._database.now() - batch.oldest).total_seconds(), exemplar)


def _next_size(rows: Sequence[asyncpg.Record], size: int) -> int:
    large = sum(len(row["payload"]) for row in rows) > LARGE
    return max(size // 2, 1) if large else min(size * 2, MOST)


def _large_among(rows: Sequence[asyncpg.Record]) -> int:
    return sum(len(row["payload"]) > LARGEST_INLINE for row in rows)


async def _nothing() -> list[asyncpg.Record]:
    return []
