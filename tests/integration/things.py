"""A throw-away service with a topic, a contract and a database of its own, to test the backbone with."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import httpx
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from fastapi import APIRouter

from backbone.application import create_application
from backbone.consuming.handlers import Handler
from backbone.context import Context
from backbone.events import contracts
from backbone.events.envelope import Envelope, from_record
from backbone.events.payload import Event, Payload
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Database, Tx
from backbone.values.brokers import Brokers
from tests.issuing import SOMEBODY, by
from tests.waiting import DEADLINE, eventually


@dataclass
class Things:
    """The service under test; `happened` makes what it publishes and reads."""

    name: str
    database: Database
    kafka: Brokers
    payload: type[Payload]
    views: list[type[Payload]] = field(default_factory=list)

    @property
    def topic(self) -> str:
        return f"{self.name}.events"

    def happened(self, number: int) -> Payload:
        return self.payload(number=number)

    async def publish(self, key: str, *numbers: int) -> None:
        async with self.database.transaction() as tx:
            for number in numbers:
                tx.publish(self.happened(number), key=key)

    def service(self, handler: Handler) -> Service[Settings]:
        return Service(name=self.name, settings=Settings, router=APIRouter(), handlers={self.payload: handler})

    async def note(self, event: Event[Any], tx: Tx) -> None:
        """A handler with an effect that tests can count."""
        await tx.raw.execute("INSERT INTO effects VALUES ($1, $2)", event.key, event.data.number)

    async def effects(self, key: str | None = None) -> list[tuple[str, int]]:
        async with self.database.transaction() as tx:
            rows = await tx.raw.fetch("SELECT * FROM effects WHERE $1::text IS NULL OR key = $1 ORDER BY position", key)
        return [(row["key"], row["number"]) for row in rows]

    async def published(self, count: int) -> list[Envelope]:
        """The first `count` distinct events of the topic, partition by partition in their order."""
        async with self.reading() as consumer:
            seen: dict[str, Envelope] = {}
            async with asyncio.timeout(DEADLINE):
                while len(seen) < count:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            envelope = from_record(record.key, record.value, record.headers)
                            seen.setdefault(envelope.id, envelope)
        return list(seen.values())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(self.topic, **self.kafka.client(), auto_offset_reset="earliest")
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def raw_producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """For what no relay would send: broken and repeated records."""
        producer = AIOKafkaProducer(**self.kafka.client())
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()


@asynccontextmanager
async def things(url: str, kafka: Brokers, schemas: Path, partitions: int = 3) -> AsyncIterator[Things]:
    """Make one: its contract goes to `schemas`, which must be the directory that contracts are read from."""
    name = f"things-{uuid4().hex[:10]}"
    payload = _payload_of(name)
    _write_schema(schemas, name)
    await create_topic(kafka, f"{name}.events", partitions)
    database = Database(url, name, size=20)
    async with database.transaction() as tx:
        await tx.raw.execute(
            "CREATE TABLE effects (key text, number int, position bigint GENERATED ALWAYS AS IDENTITY)"
        )
    try:
        yield Things(name, database, kafka, payload)
    finally:
        await database.close()


def _payload_of(name: str) -> type[Payload]:
    class ThingHappened(Payload, frozen=True, kw_only=True):
        TYPE: ClassVar[str] = f"sliceline.{name}.thing-happened.v1"

        number: int

    return ThingHappened


def _write_schema(schemas: Path, name: str) -> None:
    directory = schemas / name
    directory.mkdir(parents=True)
    schema = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}
    (directory / "thing-happened.v1.json").write_bytes(orjson.dumps(schema))
    assert directory.parent == contracts.SCHEMAS


async def create_topic(kafka: Brokers, topic: str, partitions: int) -> None:
    """Make a topic, and wait until the broker tells of it: it hears of what the controller has made a moment later."""
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])

        async def told() -> bool:
            return any(each["partitions"] for each in await admin.describe_topics([topic]))

        await eventually(told, what=f"the topic {topic}")
    finally:
        await admin.close()


class Part(Protocol):
    async def run(self) -> None: ...

    def stop(self) -> None: ...


@asynccontextmanager
async def client_of(thing: Things, handler: Handler) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service's operations."""
    context: Context[Settings] = Context(Settings(database_url="postgresql://unused"), thing.database)
    transport = httpx.ASGITransport(create_application(thing.service(handler), context))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client:
        yield client


@asynccontextmanager
async def running(*parts: Part) -> AsyncIterator[None]:
    """The parts run beside the block and are stopped after it."""
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for part in parts:
            part.stop()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def running_until_killed(part: Part) -> AsyncIterator[None]:
    """As kill -9 would: the part is cut off wherever it is."""
    task = asyncio.create_task(part.run())
    try:
        yield
    finally:
        with _leaving_behind():
            while not task.done():  # asyncio.wait_for, which aiokafka uses, may swallow a cancellation before 3.12
                task.cancel()
                await asyncio.wait([task], timeout=1)
            del task


@contextmanager
def _leaving_behind() -> Iterator[None]:
    """Sweeps up a connection that was just being opened: whichever test it is swept up in later would fail for it."""
    gc.collect()  # what was left behind before is told of
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
