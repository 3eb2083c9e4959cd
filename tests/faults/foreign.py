"""Records that no relay of ours would send: those that no handler can swallow, and those that come once more."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from backbone.values.brokers import Brokers

TOPIC = "orders.events"
PLACED = "sliceline.orders.order-placed.v1"
FIRST = b"%020d" % 1
LONG_AGO = "2026-11-21T12:00:00.000000Z"
LARGE = 900_000
Headers = list[tuple[str, bytes]]


def headers_of(key: str, event_type: str, sequence: bytes = FIRST, time: str = LONG_AGO) -> Headers:
    """The headers of an event of orders."""
    attributes = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": uuid4().hex,
        "ce_type": event_type,
        "ce_source": "/sliceline/orders",
        "ce_subject": key,
        "ce_time": time,
        "ce_dataschema": "http://127.0.0.1/schema",
        "ce_partitionkey": key,
        "ce_correlationid": uuid4().hex,
        "ce_occurrenceid": uuid4().hex,
    }
    return [(name, value.encode()) for name, value in attributes.items()] + [("ce_sequence", sequence)]


def poison(key: str) -> list[tuple[bytes | None, Headers]]:
    """Value and headers of one of each: not JSON, unknown type, broken contract, oversized, null, and no event."""
    large = {"order": key, "lines": ["x" * LARGE]}
    return [
        (b"{", headers_of(key, PLACED)),
        (b"{}", headers_of(key, "sliceline.orders.order-eaten.v1")),
        (orjson.dumps({"order": key, "lines": "many"}), headers_of(key, PLACED)),
        (orjson.dumps(large), headers_of(key, PLACED)),
        (None, headers_of(key, PLACED)),
        (b"hello", []),
    ]


async def send(kafka: Brokers, key: str, value: bytes | None, headers: Headers, topic: str = TOPIC) -> str:
    """Send one record; returns the key under which it is parked that declares nothing."""
    async with producing(kafka) as producer:
        there = await producer.send_and_wait(topic, value, key.encode(), headers=headers)
        return f"@{there.partition}:{there.offset}"


@asynccontextmanager
async def producing(kafka: Brokers) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**kafka.client())
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send_again(
    kafka: Brokers, found: Sequence["ConsumerRecord[Any, Any]"], dice: random.Random, most: int = 300
) -> int:
    """Send these, or so many of them, one to nine times more, mixed; returns how many records."""
    chosen = dice.sample(found, min(most, len(found)))
    again = [record for record in chosen for _ in range(dice.randint(1, 9))]
    dice.shuffle(again)
    async with producing(kafka) as producer:
        for record in again:
            await producer.send(record.topic, record.value, record.key, record.partition, headers=list(record.headers))
        await producer.flush()
    return len(again)


async def records(
    kafka: Brokers, since: dict[TopicPartition, int], places: Sequence[TopicPartition]
) -> list["ConsumerRecord[Any, Any]"]:
    """What these partitions have from those offsets on, which are moved to their ends."""
    consumer = AIOKafkaConsumer(**kafka.client(), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, since.get(place, 0))
        left = {place for place, end in ends.items() if since.get(place, 0) < end}
        found = []
        while left:
            for place, brought in (await consumer.getmany(*left, timeout_ms=500)).items():
                found += brought
                since[place] = brought[-1].offset + 1
            left = {place for place in left if since.get(place, 0) < ends[place]}
        return found
    finally:
        await consumer.stop()
