"""Is the limit: aiokafka sends records that are ready, in full batches. No database, no order kept."""

import asyncio
import json
import sys
import time
import zlib
from typing import Any

import uvloop
from aiokafka import AIOKafkaProducer

from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from bench import events

PARTITIONS = buses.find(DEFAULT_BUS).partitions

MOST = 1000


async def send(bootstrap: str, count: int) -> float:
    """Publish `count` events; return the seconds that it took."""
    waiting: list[list[Any]] = [[] for _ in range(PARTITIONS)]
    for record in events.records(count, 1000):
        waiting[zlib.crc32(record[0]) % PARTITIONS].append(record)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=512 * 1024
    )
    await producer.start()
    try:
        began = time.perf_counter()
        await asyncio.gather(*(_send(producer, number, records) for number, records in enumerate(waiting)))
        return time.perf_counter() - began
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, partition: int, records: list[Any]) -> None:
    left = iter(records)
    record = next(left, None)
    while record is not None:
        batch = producer.create_batch()
        while record is not None and batch.record_count() < MOST:
            key, value, headers = record
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                break
            record = next(left, None)
        acknowledged = await producer.send_batch(batch, events.TOPIC, partition=partition)
        await acknowledged


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    json.dump({"seconds": uvloop.run(send(asked["bootstrap"], asked["count"]))}, sys.stdout)
