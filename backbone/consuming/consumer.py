"""Reads a service's topics and turns every poll's batch into one transaction.

The offsets that count are those in the service's own database; Kafka's follow so that tools can show lag. Each is kept
with the log it belongs to, and one that does not fit is told of and taken anew (see `places.py`). How a batch is
settled, and what happens to one that fails, stands in `settling.py`.

While a batch is in its transaction the next one is read and decoded. It is worked off only if all went well meanwhile:
of a partition that was given up, or lost, what was read is dropped, and its place is sought anew.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from backbone.consuming.batch import Batch, Incoming, read, unreadable
from backbone.consuming.batch_processor import BatchProcessor, Fenced, Paused
from backbone.consuming.broker import UNREADABLE
from backbone.consuming.handlers import BatchHandler, Handlers, topics_of
from backbone.consuming.heeding import Heeding
from backbone.consuming.lag import LagWatch
from backbone.consuming.lateness import Lateness
from backbone.consuming.places import Places
from backbone.consuming.positions import Found, Positions
from backbone.consuming.settling import Settling
from backbone.events import buses
from backbone.events.topics import PartitionId
from backbone.running.faults import is_passing
from backbone.running.pulse import Pulse, ended_well, keep_running, report
from backbone.storage.database import LONGEST_WAIT, Database
from backbone.values.brokers import Brokers

BATCH = 500
BATCH_OF_SETS = 1000
"""Where all handlers work in sets, a batch may be larger: it is over as soon, and a commit serves more events."""
_STARTING, _RESPONDING = 30.0, 20.0
"""Seconds that Kafka has for a client's start, and for one response."""
METADATA_MS = 15_000
"""How old a client's knowledge of topics may be: one that was made again, or grown, is met within a minute."""
FETCH_MS = 2_000
"""How long Kafka keeps a question for records open while there are none; the first that comes is answered at once. New
partitions are asked for when the question before is answered, so a rebalance takes up to this much longer."""
TELLING = 5.0
"""Seconds that Kafka has to be told of our offsets, for whoever looks at the lag; the next time tells more."""
_LOOKING_MS = FETCH_MS + 1_000
"""How long one partition is waited for: a question about all others may have to be answered first."""
_ANEW = 5.0
"""Seconds after which aiokafka looks anew at what to ask for, though nothing happened; by itself it does so all 0.2."""
_PATIENCE_MS = 5_000
_SLICE = 50
"""Records decoded at a stretch, so that the transaction of the batch before goes on in between."""


class Consumer:
    """Reads one service's topics until stopped."""

    def __init__(
        self, name: str, handlers: Handlers, database: Database, kafka: Brokers, *, stuck_after: float = 20.0
    ) -> None:
        """`stuck_after`: seconds without progress, though records wait, after which the client is replaced."""
        self.pulse = Pulse("consumer")
        self._name = name
        self._wanted = topics_of(handlers)
        self.topics: list[str] = []
        self._database = database
        self._kafka = kafka
        self._stuck_after = stuck_after
        self._processor = BatchProcessor(name, handlers, database, lambda: self.pulse.beat(LONGEST_WAIT))
        in_sets = all(isinstance(each, BatchHandler) for each in handlers.values())
        self._most = BATCH_OF_SETS if in_sets else BATCH
        self._places = Places(database, name)
        self._missing: list[str] = []
        self._outdated = False
        self._stop = asyncio.Event()
        self._positions = Positions()
        self._lateness = Lateness(name, database.now)
        self._settling = Settling(self._processor, self.pulse, self._stop, self._settled)
        self._ahead: asyncio.Task[Found] | None = None
        self._in_group = False
        self._news = asyncio.Event()  # set when there is something to do but records: to stop, or other partitions
        self._pause = Heeding(database, name)
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    def stop(self) -> None:
        """Finish the batch in hand, then return from `run`."""
        self._stop.set()
        self._news.set()

    async def run(self) -> None:
        """Read until `stop`; a client that fails or hangs is replaced."""
        self._processor.tell_what_is_read()
        await keep_running(self.pulse, self._session, self._stop)

    async def _session(self) -> None:
        client = self._new_client()
        self._positions.end_all()
        self._in_group = False
        try:
            self.pulse.beat(_STARTING)
            async with asyncio.timeout(_STARTING):
                await client.start()
            self.topics, self._outdated = await self._there(client), False
            cast(Any, client)._fetcher._fetcher_timeout = _ANEW
            self._pause.told.set()  # before this nobody listened
            if self.topics:
                client.subscribe(self.topics, listener=_Rebalance(self))
                await self._read(client)
            else:
                self.pulse.ready()
                await self.pulse.rest(LagWatch.EVERY)
        finally:
            await self._drop_ahead()
            await _close(client)

    async def _there(self, client: AIOKafkaConsumer) -> list[str]:
        """Name the topics to read: what is wanted; for what stands for many, all of them that there are by now."""
        single = {each for each in self._wanted if buses.EVERYBODY not in each}
        if len(single) == len(self._wanted):
            return self._wanted
        return sorted(single | {topic for topic in await client.topics() if buses.many_with(topic) in self._wanted})

    def _new_client(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._kafka.client(),
            client_id=f"sliceline-{self._name}",
            group_id=self._name,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a place that does not fit is ours to take anew, and to tell of
            metadata_max_age_ms=METADATA_MS,
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=FETCH_MS,
            request_timeout_ms=int(_RESPONDING * 1000),
        )

    async def _read(self, client: AIOKafkaConsumer) -> None:
        watch = LagWatch(self._places, self.topics, self._stuck_after)
        committed: dict[PartitionId, int] = {}
        with suppress(Fenced):  # stopping
            while not self._stop.is_set() and not self._outdated:
                self._news.clear()
                self.pulse.beat()
                await self._heed_pause(client)
                await self._synchronise(client)
                await self._poll(client, within=self._patience(client, watch))
                if watch.is_due():
                    self.pulse.beat(watch.LONGEST)
                    await self._look(client, watch)
                    self._pause.told.set()  # it may have been, and not been heard
                    committed = await self._tell_kafka(client, committed)
        await self._tell_kafka(client, committed)

    async def _heed_pause(self, client: AIOKafkaConsumer) -> None:
        """Fetch nothing while somebody has paused us; what was read before is dropped, and its place sought anew."""

        async def learn() -> None:
            self.pulse.beat(LONGEST_WAIT)
            await self._pause.learn()

        await self._settling.outlast(learn, _passes_in_the_database)
        if self._pause.heed(client):
            await self._drop_ahead()
            self._positions.end_all()

    def _patience(self, client: AIOKafkaConsumer, watch: LagWatch) -> float:
        """Return for how many seconds only records are of interest: not long while a place is still to be taken."""
        is_complete = all(each in self._positions for each in client.assignment())
        return watch.due_in() if is_complete else min(watch.due_in(), 0.5)

    async def _look(self, client: AIOKafkaConsumer, watch: LagWatch) -> None:
        """Check whether all stored places still fit their logs; one that does not is taken anew before more is read."""
        try:
            held, read = self._positions.offsets, self._positions.read
            seen = await watch.look(client._client, held, read, is_paused=self._pause.is_paused)
        except Exception as error:
            if not _passes_in_the_database(error):
                raise
            report("consumer", error, watch.EVERY)
            return
        self._positions.end(seen.out_of_step)
        self._missing = seen.missing
        self._lateness.tell(seen.waiting)
        self._outdated = await self._there(client) != self.topics
        self._tell_how_it_is()

    def _tell_how_it_is(self) -> None:
        if self._missing:
            self.pulse.problem = f"Kafka has no topic {', '.join(self._missing)}"
        elif self._in_group:
            self.pulse.ready()

    async def _poll(self, client: AIOKafkaConsumer, within: float) -> None:
        try:
            await self._read_on(client, within)
        except UNREADABLE:
            with suppress(OffsetOutOfRangeError, NoOffsetForPartitionError):
                await self._find_unreadable(client)
            self._positions.end_all()
        except (OffsetOutOfRangeError, NoOffsetForPartitionError):  # the log does not reach there, or is not sought yet
            self._positions.end_all()

    async def _read_on(self, client: AIOKafkaConsumer, within: float) -> None:
        """Settle the batch that was read during the last one, and read the next one meanwhile.

        Waits so many seconds at most for records, or until there is something else to do.
        """
        ahead = self._ahead = self._ahead or asyncio.create_task(self._find(client, patience=_PATIENCE_MS))
        if not ahead.done():
            self.pulse.beat(within)
            await self._wait_for(ahead, within)
        if not ahead.done():
            return
        self._ahead = None
        found = ahead.result()
        if batch := self._positions.batch_of(found):
            if all(each in self._positions for each in client.assignment()):  # else something is to be sought first
                self._ahead = asyncio.create_task(self._find(client))
            await self._work_off(batch)
            self._positions.note_times(found)

    async def _wait_for(self, records: "asyncio.Task[Found]", within: float) -> None:
        news = [asyncio.ensure_future(each.wait()) for each in (self._news, self._pause.told)]
        try:
            await asyncio.wait([records, *news], timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in news:
                each.cancel()

    async def _find(
        self,
        client: AIOKafkaConsumer,
        *partitions: TopicPartition,
        patience: int = _PATIENCE_MS,
        most: int | None = None,
    ) -> Found:
        """Poll `partitions` (none given: all) for up to `patience` ms and decode at most `most` records; may find none.

        Raises one of UNREADABLE when Kafka's client cannot take some record apart.
        """
        records = await client.getmany(*partitions, timeout_ms=patience, max_records=most or self._most)
        epochs = self._positions.epochs  # of now: a seek throws away what was read before it
        incoming: dict[PartitionId, list[Incoming]] = {}
        for at, brought in records.items():
            incoming[at.topic, at.partition] = decoded = []
            for start in range(0, len(brought), _SLICE):
                decoded += [read(each, self._processor.views) for each in brought[start : start + _SLICE]]
                await asyncio.sleep(0)
        ends = {(at.topic, at.partition): brought[-1].offset + 1 for at, brought in records.items() if brought}
        taken = {(at.topic, at.partition): brought[-1].timestamp for at, brought in records.items() if brought}
        return Found(incoming, ends if records or partitions else await self._passed_over(client), epochs, taken)

    async def _passed_over(self, client: AIOKafkaConsumer) -> dict[PartitionId, int]:
        """Return the client's positions after an empty poll: it passes over transactions' marks."""
        held = [at for at in client.assignment() if (at.topic, at.partition) in self._positions]
        return {(at.topic, at.partition): await client.position(at) for at in held}

    async def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _find_unreadable(self, client: AIOKafkaConsumer) -> None:
        """Find the partitions with a record that aiokafka cannot decode, and read the records of each one by one.

        It raises for ever and does not tell which record it is. What it had read before is lost to us, so every
        partition is sought anew, and polled by itself.
        """
        self._positions.end_all()
        await self._synchronise(client)
        self.pulse.beat(_RESPONDING)
        ends = await client.end_offsets(list(client.assignment()))
        for at, end in ends.items():
            if self._positions.offsets.get((at.topic, at.partition), end) >= end:
                continue
            self.pulse.beat(_LOOKING_MS / 1000)
            try:
                await self._find(client, at, patience=_LOOKING_MS)
            except UNREADABLE:
                if (at.topic, at.partition) in self._positions:  # else a rebalance has taken it meanwhile
                    await self._read_one_by_one(client, at)

    async def _read_one_by_one(self, client: AIOKafkaConsumer, at: TopicPartition) -> None:
        """Read a partition's records one by one: settle those before the unreadable one, and park that one unseen.

        So is what follows it in its producer's batch, which the client reads from its beginning or not at all.
        """
        place = at.topic, at.partition
        client.seek(at, self._positions[place])
        parked = passed = False
        while place in self._positions and not passed and not self._stop.is_set():
            self.pulse.beat(_LOOKING_MS / 1000)
            try:
                batch = self._positions.batch_of(await self._find(client, at, patience=_LOOKING_MS, most=1))
                passed = parked or batch is None
            except UNREADABLE as error:
                if place not in self._positions:
                    return
                batch = unreadable(place, self._positions[place], error)
                client.seek(at, self._positions[place] + 1)
                parked = True
            if batch:
                await self._work_off(batch)

    async def _synchronise(self, client: AIOKafkaConsumer) -> None:
        """Seek every newly assigned partition to the offset stored in the database, not to Kafka's."""
        new = {place for each in client.assignment() if (place := (each.topic, each.partition)) not in self._positions}
        if new:
            places = await self._take(client, new)
            for each in client.assignment():  # a rebalance may have come between
                place = each.topic, each.partition
                if (offset := places.get(place)) is not None:
                    self._positions.begin(place, offset)
                    client.seek(each, offset)
            await self._wait_for_logs(place for place, offset in places.items() if offset is None)
        self._tell_how_it_is()

    async def _take(self, client: AIOKafkaConsumer, places: set[PartitionId]) -> dict[PartitionId, int | None]:
        """Take these partitions' places, waiting out a locked row or an absent database."""

        async def take() -> dict[PartitionId, int | None]:
            self.pulse.beat(_RESPONDING)
            async with asyncio.timeout(_RESPONDING):
                return await self._places.take(client._client, places)

        return await self._settling.outlast(take, _passes_in_the_database)

    async def _wait_for_logs(self, places: Iterable[PartitionId]) -> None:
        """Rest while a deleted topic is still assigned: the client hears of it later."""
        if missing := sorted({topic for topic, _ in places}):
            self._missing = missing
            await self.pulse.rest(timedelta(seconds=1))

    async def _work_off(self, batch: Batch) -> None:
        """Settle a batch, however long its passing faults last; drop it when another replica owns its partitions."""
        self._at_rest.clear()
        self._lateness.in_hand = batch
        try:
            await self._settling.settle(batch)
        except Fenced as error:
            self._positions.end(batch.ranges)
            self._pause.is_paused |= isinstance(error, Paused)
        finally:
            self._lateness.in_hand = None
            self._at_rest.set()

    def _settled(self, batch: Batch) -> None:
        self._positions.pass_over(batch)
        self._tell_how_it_is()

    async def _tell_kafka(self, client: AIOKafkaConsumer, told: dict[PartitionId, int]) -> dict[PartitionId, int]:
        assigned = client.assignment()
        news = {
            TopicPartition(*place): offset
            for place, offset in self._positions.offsets.items()
            if told.get(place) != offset and TopicPartition(*place) in assigned
        }
        if news:
            # Its own look for the group's coordinator lasts for as long as the broker is away.
            self.pulse.beat(TELLING)
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(TELLING):
                    await client.commit(news)
        return self._positions.offsets

    def assigned(self, places: Iterable[PartitionId]) -> None:
        """Note that the group has assigned these partitions; none, where there are more members than partitions."""
        self._positions.end(places)
        self._in_group = True
        self._news.set()

    def revoked(self, places: Iterable[PartitionId]) -> None:
        """Note that the group takes these partitions from us."""
        self._positions.end(places)

    async def rest(self) -> None:
        """Wait up to 5 s for the batch in hand to end; what is then unfinished will be fenced."""
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._at_rest.wait()


def _passes_in_the_database(error: Exception) -> bool:
    """Tell whether only the database was in the way; after other passing faults the client may have to be replaced."""
    return is_passing(error) and not isinstance(error, (KafkaError, TimeoutError))


async def _close(client: AIOKafkaConsumer) -> None:
    """Leave the group, and close the connections even if that fails: stop() lets its own cancellations escape.

    TLS would say goodbye and wait for an answer, and a broker reads nothing of a connection while a fetch waits there:
    so we hang up.
    """
    parts = cast(Any, client)
    if parts._coordinator is not None:  # it has come as far as that
        await ended_well(parts._coordinator.close(), 3)
    for connection in parts._client._conns.values():
        if connection._writer is not None:
            connection._writer.transport.abort()
    if not await ended_well(client.stop(), 2):
        await ended_well(parts._client.close(), 2)


class _Rebalance(ConsumerRebalanceListener):
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        gone = [(each.topic, each.partition) for each in revoked]
        self._consumer.revoked(gone)  # what was read ahead of them is not begun any more
        await self._consumer.rest()
        self._consumer.revoked(gone)  # what was sought anew meanwhile

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._consumer.assigned((each.topic, each.partition) for each in assigned)
