"""Is a FastStream consumer with the same effect, once: inbox row, stock and offset in one transaction, then the ack."""

from typing import Any

import asyncpg
import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict

CLAIM = """
INSERT INTO inbox (consumer, name, occurrence) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1
"""
TAKE = "UPDATE stock SET reserved = reserved + $2 WHERE sku = $1"
MOVE = """
INSERT INTO consumer_offsets (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PEER_")
    database_url: str
    kafka: str
    group: str
    workers: int = 1


class Line(BaseModel):
    item: str
    quantity: int


class OrderPlaced(BaseModel):
    order: str
    lines: list[Line]


settings = Settings()
broker = KafkaBroker(settings.kafka, logger=None)
app = FastStream(broker, logger=None)
state: "dict[str, asyncpg.Pool[Any]]" = {}


@app.on_startup
async def connect() -> None:
    state["pool"] = await asyncpg.create_pool(settings.database_url, min_size=10, max_size=max(10, settings.workers))


@broker.subscriber(
    "orders.events",
    group_id=settings.group,
    auto_offset_reset="earliest",
    ack_policy=AckPolicy.MANUAL,
    max_workers=settings.workers,
)
async def take(order: OrderPlaced, message: KafkaMessage) -> None:
    record = message.raw_message
    assert not isinstance(record, tuple)  # only batches are
    async with state["pool"].acquire() as connection, connection.transaction():
        headers = message.headers
        if await connection.fetchval(CLAIM, settings.group, headers["ce_type"], headers["ce_occurrenceid"]):
            await connection.execute(TAKE, order.lines[0].item, order.lines[0].quantity)
        await connection.execute(MOVE, settings.group, record.topic, record.partition, record.offset + 1)
    await message.ack()


if __name__ == "__main__":
    uvloop.run(app.run())
