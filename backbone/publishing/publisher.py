"""Writes batches of outbox rows to their topics: packed by partition, each partition's records in their order."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder
from opentelemetry.trace import SpanKind

from backbone.errors import SlicelineError
from backbone.events import buses, contracts
from backbone.events.dataref import HEADER, LARGEST_INLINE
from backbone.events.envelope import Headers, headers_of
from backbone.events.topics import DEFAULT_BUS, PartitionId
from backbone.observing.telemetry import MOST_LINKS, messaging
from backbone.publishing.partitioning import partitions_of
from backbone.running.gather_or_cancel import gather_or_cancel
from backbone.running.pulse import describe, ended_well
from backbone.storage import objects
from backbone.values.brokers import Brokers

SEND_DEADLINE = 15.0
"""Seconds for a whole batch; shorter than the database's idle_in_transaction_session_timeout."""
RECORDS_BYTES = 1_000_000
"""What is written to a partition at once; a broker takes 1,048,588 bytes unless told otherwise (message.max.bytes)."""
METADATA_MS = 15_000
"""How old the producer's knowledge of its topic may be: one that was deleted is noticed, one made anew is met."""
_SLICE = 200
"""Rows that are packed in one go, before others of the process have their turn."""
_TYPE, _KEY, _END = 2, 7, 13
"""Where type and partition key stand in a row, and where the attributes end, which follow the data."""
Claims = Mapping[bytes, Headers]
"""By event id: the header that says where the data of a large event lies."""
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError)
"""What a broker says of a record for its own sake: it never will be taken, whatever else changes."""


class Refused(SlicelineError):
    """An event cannot be written to Kafka; `id` is its own, the cause says why."""

    def __init__(self, id: str, why: Exception) -> None:  # noqa: A002  the attribute's name
        super().__init__(describe(why))
        self.id = id


@dataclass
class PackedRows:
    """Holds rows on their way to Kafka, packed by partition."""

    first_id: str
    count: int
    oldest: datetime
    traceparents: list[str]
    partitions: dict[PartitionId, list[BatchBuilder]] = field(default_factory=dict)


class Publisher:
    """Sends one service's events. After an error its batches are in an unknown state: close it, and open it anew."""

    def __init__(self, kafka: Brokers, service: str) -> None:
        self._kafka = kafka
        self._service = service
        self._topic = buses.find(DEFAULT_BUS).topic(service)
        self._met: set[str] = set()
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        """Connect, unless it is connected. Raises KafkaError, also when the topic is no longer there."""
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                **self._kafka.client(),
                client_id=f"sliceline-{self._service}-relay",
                acks="all",
                enable_idempotence=True,
                max_batch_size=RECORDS_BYTES,
                request_timeout_ms=10_000,
                metadata_max_age_ms=METADATA_MS,
            )
            async with asyncio.timeout(SEND_DEADLINE):
                await self._producer.start()
                await self._producer.partitions_for(self._topic)
        if not self._producer.client.cluster.partitions_for_topic(self._topic):
            raise UnknownTopicOrPartitionError(f"Kafka has no topic {self._topic}")

    async def close(self) -> None:
        """Disconnect without waiting for what is still on its way; the outbox has it."""
        self._met.clear()
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if not await ended_well(producer.stop(), 2):
            # It waits for unsent batches for ever when the broker is away; ending its sender is the only way out.
            await ended_well(producer._sender.close(), 2)
            await ended_well(producer.client.close(), 2)

    async def pack(self, rows: Sequence[asyncpg.Record], now: datetime) -> PackedRows | None:
        """Encode rows, as RELAY_TAKE gives them, as Kafka's records; None for no rows.

        Data that is too large for a topic is in the object store then, and on a disk. Raises Refused; or what passes.
        """
        if not rows:
            return None
        producer = self._opened()
        topics = {stem: await self._partitions_of(stem) for stem in {row["aggregatetype"] for row in rows}}
        lone = rows[0]["id"].decode() if len(rows) == 1 else None
        with _blaming(lone, objects.NoStore):
            claims = await self._check_in([row for row in rows if len(row[0]) > LARGEST_INLINE], now)
        with _blaming(lone, Exception):
            batch = _batch_of(rows)
            for start in range(0, len(rows), _SLICE):
                _pack(producer, topics, batch, rows[start : start + _SLICE], claims)
                await asyncio.sleep(0)
        return batch

    async def _check_in(self, large: Sequence[asyncpg.Record], now: datetime) -> Claims:
        """Put the data of large events into the object store."""
        put = [partial(objects.put, row[0], self._service, now) for row in large]
        references = await objects.side_by_side(put) if put else []
        named = zip(large, references, strict=True)
        return {row[1]: [(HEADER, reference.encode())] for row, reference in named}

    async def _partitions_of(self, stem: str) -> list[PartitionId]:
        topic = buses.topic_named(stem)
        if topic not in self._met:
            if (bus := buses.bus_of(topic)) and bus.is_made_when_needed:
                from backbone.publishing.making import (
                    make,  # Kafka's client for administration: hardly any relay needs it
                )

                await make(self._kafka, topic, bus, like=self._topic)
            self._met.add(topic)
        return [(topic, number) for number in sorted(await self._opened().partitions_for(topic))]

    async def send(self, batch: PackedRows) -> None:
        """Send a batch and return when Kafka has it. Raises otherwise, in time: Refused for a lone event."""
        about = {"messaging.batch.message_count": batch.count}
        links = batch.traceparents
        with (
            _blaming(batch.first_id if batch.count == 1 else None, *_REFUSALS),
            messaging("send", self._topic, SpanKind.CLIENT, links=links, attributes=about),
        ):
            async with asyncio.timeout(SEND_DEADLINE):
                await gather_or_cancel(*(self._send_in_turn(*each) for each in batch.partitions.items()))

    async def _send_in_turn(self, place: PartitionId, records: Iterable[BatchBuilder]) -> None:
        """Send a partition's batches in turn: were the first of two refused, the second would stand before it."""
        for each in records:
            acknowledged = await self._opened().send_batch(each, place[0], partition=place[1])
            await acknowledged

    def _opened(self) -> AIOKafkaProducer:
        assert self._producer is not None, "open() comes first"  # noqa: S101
        return self._producer


@contextmanager
def _blaming(id: str | None, *errors: type[Exception]) -> Iterator[None]:  # noqa: A002
    """Raise Refused for the event of this id when Kafka refuses its record, which was alone."""
    try:
        yield
    except errors as error:
        if id is None:
            raise
        raise Refused(id, error) from error


def _batch_of(rows: Sequence[asyncpg.Record]) -> PackedRows:
    return PackedRows(
        first_id=rows[0]["id"].decode(),
        count=len(rows),
        oldest=datetime.fromisoformat(rows[0]["time"].decode()),
        traceparents=[row["traceparent"].decode() for row in rows[:MOST_LINKS] if row["traceparent"]],
    )


def _pack(
    producer: AIOKafkaProducer,
    topics: Mapping[str, Sequence[PartitionId]],
    batch: PackedRows,
    rows: Sequence[asyncpg.Record],
    claims: Claims,
) -> None:
    now = int(time.time() * 1000)
    counts = {len(partitions) for partitions in topics.values()}
    chosen = {count: partitions_of((row["partitionkey"] for row in rows), count) for count in counts}
    for row in rows:
        payload, key, headers = row[0], row[_KEY], headers_of(*row[1:_END]) + _deprecation(row[_TYPE])
        if claims and (claim := claims.get(row[1])):
            payload, headers = b"", headers + claim  # empty, not null: that would be a tombstone
        partitions = topics[row["aggregatetype"]]
        records = batch.partitions.setdefault(partitions[chosen[len(partitions)][key]], [])
        if records and records[-1].append(timestamp=now, key=key, value=payload, headers=headers):
            continue
        records.append(producer.create_batch())
        records[-1].append(timestamp=now, key=key, value=payload, headers=headers)


@lru_cache(maxsize=1024)
def _deprecation(event_type: bytes) -> Headers:
    """Make the headers that say a type is on its way out, from its contract; none where that does not say so."""
    with suppress(SlicelineError):  # whatever is in the outbox goes out: its contract was looked at before
        if told := contracts.deprecation(event_type.decode()):
            return told.headers()
    return []
