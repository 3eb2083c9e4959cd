"""Reads logs from one offset to another, and loses no place to a record that Kafka's client cannot take apart."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from backbone.consuming.broker import UNREADABLE, Log, survey
from backbone.events.topics import PartitionId
from backbone.values.brokers import Brokers

PIECE = 2_000
PATIENCE = 60.0
"""Seconds for which Kafka may bring nothing; how much there is to read does not matter."""
FETCHED = 256 * 1024
"""Bytes that the client fetches of a partition ahead: all partitions of a topic are read side by side."""


@dataclass(frozen=True)
class Span:
    """Says what is to be read of a partition: offsets [start, end) of one log."""

    log: str
    start: int
    end: int


class Piece(NamedTuple):
    """Holds some records of a partition, one after another, and the offset at which what follows begins.

    `broken` is the error of a record that could not be taken apart, which stood alone.
    """

    at: PartitionId
    records: list[Any]
    next: int
    broken: Exception | None = None


@asynccontextmanager
async def connected(kafka: Brokers) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer that belongs to no group, so that reading disturbs nobody."""
    consumer = AIOKafkaConsumer(
        **kafka.client(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # retention may take the beginning of a span away while others are read
        request_timeout_ms=20_000,
        max_partition_fetch_bytes=FETCHED,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def logs(consumer: AIOKafkaConsumer, topics: list[str]) -> dict[PartitionId, Log]:
    """Ask how far the logs of those topics reach that exist."""
    _, found = await survey(consumer._client, topics)
    return found


async def offsets_since(
    consumer: AIOKafkaConsumer, ends: Mapping[PartitionId, int], moment: int
) -> dict[PartitionId, int]:
    """Ask for the first offset of each partition that arrived at a moment (milliseconds since 1970) or later."""
    asked = {TopicPartition(*at): moment for at in ends}
    found = await consumer.offsets_for_times(asked) if asked else {}
    return {(at.topic, at.partition): each.offset if each else ends[at] for at, each in found.items()}


async def pieces(consumer: AIOKafkaConsumer, spans: Mapping[PartitionId, Span]) -> AsyncIterator[Piece]:
    """Yield all that the spans hold, those of a topic side by side, each in its order."""
    for topic in sorted({topic for topic, _ in spans}):
        async for piece in _Reading(consumer, {at: span for at, span in spans.items() if at[0] == topic}).pieces():
            yield piece


class _Reading:
    """Reads some spans side by side."""

    def __init__(self, consumer: AIOKafkaConsumer, spans: Mapping[PartitionId, Span]) -> None:
        self._consumer = consumer
        self._ends = {TopicPartition(*at): span.end for at, span in spans.items()}
        self._next = {TopicPartition(*at): span.start for at, span in spans.items() if span.start < span.end}

    async def pieces(self) -> AsyncIterator[Piece]:
        self._seek()
        moved = time.monotonic()
        while self._next:
            try:
                found = [piece async for piece in self._poll(*self._next, most=PIECE)]
            except UNREADABLE:
                self._seek()  # what it has fetched beyond is lost to us
                found = [piece for at in list(self._next) for piece in await self._one(at)]
                self._seek()
            if found:
                moved = time.monotonic()
            elif time.monotonic() - moved > PATIENCE:
                raise KafkaTimeoutError(f"nothing came for {PATIENCE:.0f} s of {', '.join(map(str, self._next))}")
            for piece in found:
                yield piece

    def _seek(self) -> None:
        self._consumer.assign([*self._next])
        for at, offset in self._next.items():
            self._consumer.seek(at, offset)

    async def _poll(self, *wanted: TopicPartition, most: int) -> AsyncIterator[Piece]:
        brought = await self._consumer.getmany(*wanted, timeout_ms=500, max_records=most)
        for at in wanted:
            position = await self._consumer.position(at)  # it passes over the marks of transactions
            records = [record for record in brought.get(at, ()) if record.offset < self._ends[at]]
            if position > self._next[at]:
                yield self._reached(at, records, position)

    async def _one(self, at: TopicPartition) -> list[Piece]:
        """Read one record of a partition; one that cannot be taken apart is passed over, and told of."""
        try:
            return [piece async for piece in self._poll(at, most=1)]
        except UNREADABLE as error:
            return [self._reached(at, [], self._next[at] + 1, error)]

    def _reached(self, at: TopicPartition, records: list[Any], offset: int, broken: Exception | None = None) -> Piece:
        reached = self._next[at] = min(offset, self._ends[at])
        if reached == self._ends[at]:
            del self._next[at]
            self._consumer.pause(at)  # what comes after it is left to the next run
        return Piece((at.topic, at.partition), records, reached, broken)
