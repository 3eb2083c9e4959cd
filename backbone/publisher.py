"""Writes batches of outbox rows to a service's topic: packed by partition, each partition's records in their order."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from opentelemetry.trace import SpanKind

from backbone.envelope import headers_of
from backbone.partitioning import partitions_of
from backbone.parts import ended_well
from backbone.telemetry import MOST_LINKS, messaging
from backbone.together import together

SEND_DEADLINE = 15.0
"""Seconds for a whole batch; shorter than the database's idle_in_transaction_session_timeout."""
RECORDS_BYTES = 1_000_000
"""What is written to a partition at once; a broker takes 1,048,588 bytes unless told otherwise (message.max.bytes)."""
_SLICE = 200
"""Rows that are packed in one go, before others of the process have their turn."""
_KEY = 6
"""Where the partition key stands among a row's attributes."""


@dataclass
class Batch:
    """Rows on their way, packed by partition."""

    count: int
    oldest: datetime
    traceparents: list[str]
    partitions: dict[int, list[BatchBuilder]] = field(default_factory=dict)


class Publisher:
    """One service's producer. After an error its batches are in an unknown state: close it, and open it anew."""

    def __init__(self, kafka: str, service: str) -> None:
        self._kafka = kafka
        self._service = service
        self._topic = f"{service}.events"
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        """Connect, unless it is connected."""
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._kafka,
                client_id=f"sliceline-{self._service}-relay",
                acks="all",
                enable_idempotence=True,
                max_batch_size=RECORDS_BYTES,
                request_timeout_ms=10_000,
            )
            async with asyncio.timeout(SEND_DEADLINE):
                await self._producer.start()

    async def close(self) -> None:
        """Disconnect without waiting for what is still on its way; the outbox has it."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if not await ended_well(producer.stop(), 2):
            # It waits for unsent batches for ever when the broker is away; ending its sender is the only way out.
            await ended_well(producer._sender.close(), 2)
            await ended_well(producer.client.close(), 2)

    async def pack(self, rows: Sequence[asyncpg.Record]) -> Batch | None:
        """Write rows as Kafka's records; they come as RELAY_TAKE gives them. None for no rows."""
        if not rows:
            return None
        producer = self._opened()
        partitions = sorted(await producer.partitions_for(self._topic))
        batch = Batch(
            count=len(rows),
            oldest=datetime.fromisoformat(rows[0]["time"].decode()),
            traceparents=[row["traceparent"].decode() for row in rows[:MOST_LINKS] if row["traceparent"]],
        )
        for start in range(0, len(rows), _SLICE):
            _pack(producer, partitions, batch, rows[start : start + _SLICE])
            await asyncio.sleep(0)
        return batch

    async def send(self, batch: Batch) -> None:
        """Return when Kafka has all of the batch. Raises otherwise, in time."""
        about = {"messaging.batch.message_count": batch.count}
        links = batch.traceparents
        with messaging("send", self._topic, SpanKind.CLIENT, links=links, attributes=about):
            async with asyncio.timeout(SEND_DEADLINE):
                await together(*(self._send_in_turn(*each) for each in batch.partitions.items()))

    async def _send_in_turn(self, partition: int, records: Iterable[BatchBuilder]) -> None:
        """Never two in flight for a partition: were the first refused, the second would stand before it."""
        for each in records:
            acknowledged = await self._opened().send_batch(each, self._topic, partition=partition)
            await acknowledged

    def _opened(self) -> AIOKafkaProducer:
        assert self._producer is not None, "open() comes first"  # noqa: S101
        return self._producer


def _pack(producer: AIOKafkaProducer, partitions: Sequence[int], batch: Batch, rows: Sequence[asyncpg.Record]) -> None:
    now = int(time.time() * 1000)
    chosen = partitions_of((row["partitionkey"] for row in rows), len(partitions))
    for payload, *attributes in rows:
        headers = headers_of(*attributes)
        key = attributes[_KEY]
        records = batch.partitions.setdefault(partitions[chosen[key]], [])
        if records and records[-1].append(timestamp=now, key=key, value=payload, headers=headers):
            continue
        records.append(producer.create_batch())
        records[-1].append(timestamp=now, key=key, value=payload, headers=headers)
