"""The relay: takes the oldest rows out of the outbox, publishes them, and commits when Kafka has all of them.

At least once and in order. A send that fails or times out is unknown: the transaction is rolled back, the rows are
still there, and they are sent again by a new producer. Only one relay of a database works at a time.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from opentelemetry.trace import SpanKind

from backbone import metrics, sql
from backbone.database import Database
from backbone.envelope import Envelope, to_record, topic_of
from backbone.parts import Part, ended_well, keep_running
from backbone.telemetry import messaging

BATCH = 1000
SEND_DEADLINE = 15.0
"""Seconds for a whole batch; shorter than the database's idle_in_transaction_session_timeout."""

_MOST_LINKS = 128  # what a span keeps by default (OTEL_SPAN_LINK_COUNT_LIMIT)


class Relay:
    """Publishes one service's outbox until stopped."""

    def __init__(self, database: Database, kafka: str, *, poll: float = 1.0) -> None:
        """`poll`: seconds between looks at the outbox when no commit of this process wakes the relay."""
        self.part = Part("relay")
        self._database = database
        self._kafka = kafka
        self._poll = poll
        self._producer: AIOKafkaProducer | None = None
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Publish until `stop`; what is in the outbox by then is left for the next start."""
        try:
            await keep_running(self.part, self._step, self._stop)
        finally:
            await self._discard_producer()

    def stop(self) -> None:
        """Finish the batch in hand, then return from `run`."""
        self._stop.set()
        self._database.wakeups.outbox.set()

    async def _step(self) -> None:
        self._database.wakeups.outbox.clear()
        try:
            count = await self._publish_batch(await self._ready_producer())
        except BaseException:
            await self._discard_producer()
            raise
        self.part.ready()
        if count < BATCH and not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._database.wakeups.outbox.wait(), self._poll)

    async def _publish_batch(self, producer: AIOKafkaProducer) -> int:
        """Returns how many events went out; 0 also when another relay holds the lock."""
        async with self._database.transaction() as tx:
            if not await tx.raw.fetchval(sql.RELAY_LOCK):
                return 0
            rows = sorted(await tx.raw.fetch(sql.RELAY_TAKE, BATCH), key=lambda row: row["position"])
            if rows:
                await asyncio.wait_for(_send(producer, rows), SEND_DEADLINE)
        _count(rows)
        return len(rows)

    async def _ready_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._kafka,
                client_id=f"sliceline-{self._database.service}-relay",
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=10_000,
            )
            self._producer = producer
            await asyncio.wait_for(producer.start(), SEND_DEADLINE)
        return self._producer

    async def _discard_producer(self) -> None:
        """Close the producer without waiting for what it still holds; the outbox has it."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if not await ended_well(producer.stop(), 2):
            # It waits for unsent batches for ever when the broker is away; ending its sender is the only way out.
            await ended_well(producer._sender.close(), 2)
            await ended_well(producer.client.close(), 2)


async def _send(producer: AIOKafkaProducer, rows: Sequence[Mapping[str, Any]]) -> None:
    about = {"messaging.batch.message_count": len(rows)}
    links = [row["traceparent"] for row in rows[:_MOST_LINKS]]
    with messaging("send", topic_of(rows[0]["type"]), SpanKind.CLIENT, links=links, attributes=about):
        acknowledgements = []
        for row in rows:
            key, value, headers = to_record(_envelope(row))
            acknowledgements.append(await producer.send(topic_of(row["type"]), key=key, value=value, headers=headers))
        await asyncio.gather(*acknowledgements)


def _envelope(row: Mapping[str, Any]) -> Envelope:
    return Envelope(
        id=row["id"],
        type=row["type"],
        source=row["source"],
        subject=row["subject"],
        time=row["time"].astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        dataschema=row["dataschema"],
        partitionkey=row["aggregateid"],
        correlationid=row["correlationid"],
        causationid=row["causationid"],
        occurrenceid=row["occurrenceid"],
        sequence=row["sequence"],
        traceparent=row["traceparent"],
        data=row["payload"].encode(),
    )


def _count(rows: Sequence[Mapping[str, Any]]) -> None:
    now = datetime.now(UTC)
    metrics.RELAYED.inc(len(rows))
    for row in rows:
        metrics.OUTBOX_WAIT.observe((now - row["time"]).total_seconds())
