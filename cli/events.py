"""./sliceline events: show what the topics carry, as it goes by."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbone.errors import SlicelineError
from backbone.events import buses
from backbone.storage import objects
from backbone.values.brokers import Brokers
from cli.console import console, fail
from cli.running import kafka_of, running_shop
from local.layout import layout_for
from services import CATALOGUE

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient


def events(
    topic: Annotated[str | None, typer.Argument(help="Only this topic: orders, or orders.events. Else all.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only this key: an order's id, or a SKU.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is published from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last events.")] = 20,
) -> None:
    """Show events as they stand in Kafka: when they were written, type, key and data. Reading disturbs nobody.

    All events of one order, whoever published them: ./sliceline events --key ORDER. With SLICELINE_KAFKA (host:port)
    set, that Kafka is read, and no shop has to run here.
    """
    from aiokafka.errors import KafkaError

    layout = layout_for(0)
    kafka = layout.kafka or kafka_of(running_shop())
    objects.keep_in(layout.objects())
    try:
        topics = [_known(topic, kafka)] if topic else None
        asyncio.run(_show(kafka, topics, _Wanted(key, lines), follow))
    except KeyboardInterrupt:
        return
    except (KafkaError, OSError) as error:
        fail(f"Kafka at {kafka} cannot be read ({str(error) or type(error).__name__}). See: ./sliceline status")


@dataclass(frozen=True)
class _Wanted:
    """Says what to show of the past: the last events, or the last ones of a key wherever they stand."""

    key: str | None
    lines: int

    def has(self, record: Any) -> bool:
        return self.key is None or record.key == self.key.encode()

    def start(self, beginning: int, end: int) -> int:
        return beginning if self.key is not None else max(beginning, end - self.lines)


def _known(named: str, kafka: Brokers) -> str:
    """Return the topic that is named; end the command, with those that there are, when it is none of ours."""
    from deployment.topics import every_topic, made_since

    topic, from_the_start = buses.topic_named(buses.stem(named)), every_topic(CATALOGUE)
    if topic not in from_the_start and not made_since([topic]):
        there = sorted({*from_the_start, *asyncio.run(_topics(kafka))})
        fail(f"There is no topic {topic}. There are: {', '.join(there)}.", code=2)
    return topic


async def _show(kafka: Brokers, topics: list[str] | None, wanted: _Wanted, follow: bool) -> None:
    async with _reading(kafka, topics) as (consumer, partitions):
        ends = await _seek(consumer, partitions, wanted)
        past = [record async for record in _until(consumer, ends) if wanted.has(record)]
        past.sort(key=lambda record: record.timestamp)
        await _print(past[-wanted.lines :] if wanted.lines else [])
        while follow:
            brought = await consumer.getmany(timeout_ms=500)
            await _print(record for records in brought.values() for record in records if wanted.has(record))


@asynccontextmanager
async def _reading(
    kafka: Brokers, topics: list[str] | None
) -> "AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]":
    """Open a consumer that belongs to no group, on every partition of these topics, or of all of ours."""
    from aiokafka import AIOKafkaConsumer

    partitions = await _partitions(kafka, topics)
    consumer = AIOKafkaConsumer(**kafka.client(), enable_auto_commit=False, request_timeout_ms=10_000)
    await consumer.start()
    try:
        consumer.assign(partitions)
        yield consumer, partitions
    finally:
        await consumer.stop()


@asynccontextmanager
async def _asking(kafka: Brokers) -> "AsyncIterator[AIOKafkaAdminClient]":
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(**kafka.client(), request_timeout_ms=10_000)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _topics(kafka: Brokers) -> list[str]:
    from deployment.topics import ours

    async with _asking(kafka) as admin:
        return sorted(ours(await admin.list_topics(), CATALOGUE))


async def _partitions(kafka: Brokers, topics: list[str] | None) -> "list[TopicPartition]":
    from aiokafka import TopicPartition

    topics = topics or await _topics(kafka)
    async with _asking(kafka) as admin:
        described = await admin.describe_topics(topics)
    return [TopicPartition(each["topic"], part["partition"]) for each in described for part in each["partitions"]]


async def _seek(
    consumer: "AIOKafkaConsumer", partitions: "list[TopicPartition]", wanted: _Wanted
) -> "dict[TopicPartition, int]":
    """Seek to where the wanted past begins; return where it ends, for the partitions that hold some of it."""
    beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    for each in partitions:
        consumer.seek(each, wanted.start(beginnings[each], ends[each]))
    return {each: end for each, end in ends.items() if wanted.start(beginnings[each], end) < end}


async def _until(consumer: "AIOKafkaConsumer", ends: "dict[TopicPartition, int]") -> AsyncIterator[Any]:
    """Yield every record before the ends; later ones are left for whoever follows."""
    waiting = dict(ends)
    while waiting:
        for partition, records in (await consumer.getmany(*waiting, timeout_ms=500)).items():
            for record in records:
                if record.offset < ends[partition]:
                    yield record
            if await consumer.position(partition) >= ends[partition]:
                consumer.seek(partition, ends[partition])
                waiting.pop(partition, None)


async def _print(records: Iterable[Any]) -> None:
    for record in records:
        at = datetime.fromtimestamp(record.timestamp / 1000).astimezone()
        head = f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"
        console.print(f"{head}  {await _in_words(record)}", highlight=False, markup=False, soft_wrap=True)


async def _in_words(record: Any) -> str:
    from backbone.events.envelope import Undecodable, from_record

    try:
        event = from_record(record.key, record.value, record.headers)
    except Undecodable as error:
        place = f"{record.topic} partition {record.partition} offset {record.offset}"
        return f"{place} holds no event: {error.reason}"
    name = event.type.removeprefix("sliceline.")
    data = event.data.decode(errors="replace") if event.dataref is None else await _data_of(record)
    return f"{name:<40} {event.partitionkey:<36} {data}"


async def _data_of(record: Any) -> str:
    """Return the data of an event that travels without it, or why it is not to be had from here."""
    from backbone.consuming.claims import redeemed

    try:
        return ((await redeemed(record)).value or b"").decode(errors="replace")
    except (SlicelineError, OSError) as error:
        return f"({error})"
