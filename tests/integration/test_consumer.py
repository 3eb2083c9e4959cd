"""The consumer runner: effects once, fenced, nothing dropped, nothing blocked."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.fetch import FetchRequest

from backbone.consuming import consumer
from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor, Fenced
from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import Handler
from backbone.consuming.lag import LagWatch
from backbone.events.payload import Event
from backbone.publishing.relay import Relay
from backbone.storage.database import Tx
from tests.integration.one_service import until_a_lock_is_awaited
from tests.integration.things import Things, running, running_until_killed
from tests.waiting import eventually


def consumer_of(thing: Things, handler: Handler | None = None) -> Consumer:
    return Consumer(thing.name, thing.service(handler or thing.note).handlers, thing.database, thing.kafka)


def relay_of(thing: Things) -> Relay:
    return Relay(thing.database, thing.kafka, poll=0.05)


async def publish_many(thing: Things, keys: int, each: int) -> None:
    for key in range(keys):
        await thing.publish(f"key-{key}", *range(each))


async def has_effects(thing: Things, count: int) -> bool:
    return len(await thing.effects()) >= count


async def test_every_event_has_its_effect_once_and_in_order_of_its_key(thing: Things) -> None:
    await publish_many(thing, keys=20, each=10)
    async with running(relay_of(thing), consumer_of(thing)):
        await eventually(lambda: has_effects(thing, 200))
    for key in range(20):
        assert await thing.effects(f"key-{key}") == [(f"key-{key}", number) for number in range(10)]


async def test_a_repeated_delivery_has_no_second_effect(thing: Things) -> None:
    await publish_many(thing, keys=3, each=3)
    async with running(relay_of(thing)):
        await thing.published(9)
    async with thing.raw_producer() as producer, thing.reading() as reader:
        again = await reader.getmany(timeout_ms=5000)
        for record in [each for records in again.values() for each in records]:
            await producer.send_and_wait(thing.topic, key=record.key, value=record.value, headers=list(record.headers))
    async with running(relay_of(thing), consumer_of(thing)):
        await thing.publish("last", 1)
        await eventually(lambda: has_effects(thing, 10))
    assert max(Counter(await thing.effects()).values()) == 1


async def test_consumers_that_are_killed_and_replaced_do_nothing_twice(thing: Things) -> None:
    async def slowly(event: Event[Any], tx: Tx) -> None:
        await thing.note(event, tx)
        await asyncio.sleep(0.005)

    await publish_many(thing, keys=10, each=20)
    async with running(relay_of(thing)):
        for _ in range(5):
            async with running_until_killed(consumer_of(thing, slowly)):
                await asyncio.sleep(1)
        async with running(consumer_of(thing, slowly)):
            await eventually(lambda: has_effects(thing, 200))
    assert max(Counter(await thing.effects()).values()) == 1
    for key in range(10):
        assert await thing.effects(f"key-{key}") == [(f"key-{key}", number) for number in range(20)]


async def test_a_consumer_goes_on_while_kafka_cannot_be_told_of_its_offsets(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_ever(self: AIOKafkaConsumer, offsets: Any) -> None:
        told.set()
        await asyncio.Event().wait()

    told = asyncio.Event()
    monkeypatch.setattr(AIOKafkaConsumer, "commit", for_ever)
    monkeypatch.setattr(consumer, "TELLING", 0.1)
    monkeypatch.setattr(LagWatch, "EVERY", timedelta(seconds=0.1))
    async with running(relay_of(thing), consumer_of(thing)):
        await thing.publish("a", 1)
        await told.wait()
        await thing.publish("a", 2)
        await eventually(lambda: has_effects(thing, 2), 20)


async def test_two_replicas_share_the_work_and_a_leaving_one_is_replaced(thing: Things) -> None:
    await publish_many(thing, keys=10, each=5)
    async with running(relay_of(thing), consumer_of(thing)):
        async with running(consumer_of(thing)):
            await eventually(lambda: has_effects(thing, 50))
            await publish_many(thing, keys=10, each=5)
        await publish_many(thing, keys=10, each=5)
        await eventually(lambda: has_effects(thing, 150))
    assert max(Counter(await thing.effects()).values()) == 3


async def test_a_zombie_is_fenced_off_by_the_stored_offset(thing: Things) -> None:
    await thing.publish("a", 1, 2)
    async with running(relay_of(thing)):
        await thing.published(2)
    async with thing.reading() as reader:
        records = [each for found in (await reader.getmany(timeout_ms=5000)).values() for each in found]
    processor = BatchProcessor(thing.name, thing.service(thing.note).handlers, thing.database)
    place = records[0].topic, records[0].partition
    incoming = [read(each, processor.views) for each in records]
    await processor.apply(Batch(incoming[:1], {place: (0, 1)}))
    with pytest.raises(Fenced):
        await processor.apply(Batch(incoming, {place: (0, 2)}))
    assert await thing.effects() == [("a", 1)]


async def test_what_was_read_ahead_is_dropped_when_the_batch_before_it_is_fenced_off(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "BATCH", 2)
    moved: list[asyncio.Task[None]] = []

    async def moving_the_offset_back_once(event: Event[Any], tx: Tx) -> None:
        await thing.note(event, tx)
        if event.data.number == 2:  # from the second batch on the offset is a row that others see
            moved.append(asyncio.create_task(move_back(thing)))
            await until_a_lock_is_awaited(thing.database)  # it comes to pass right after this batch's commit

    await thing.publish("a", *range(8))
    async with running(relay_of(thing)):
        await thing.published(8)
        async with running(consumer_of(thing, moving_the_offset_back_once)):
            await eventually(lambda: has_effects(thing, 8))
    await moved[0]
    assert await thing.effects() == [("a", number) for number in range(8)]


async def move_back(thing: Things) -> None:
    async with thing.database.transaction() as tx:
        await tx.raw.execute("UPDATE consumer_offsets SET next_offset = 0 WHERE consumer = $1", thing.name)


async def test_a_passing_fault_is_waited_out_and_never_skipped(thing: Things) -> None:
    failures = iter([ConnectionResetError("away"), TimeoutError("slow")])

    async def at_first_failing(event: Event[Any], tx: Tx) -> None:
        if error := next(failures, None):
            raise error
        await thing.note(event, tx)

    await thing.publish("a", 1, 2, 3)
    async with running(relay_of(thing), consumer_of(thing, at_first_failing)):
        await eventually(lambda: has_effects(thing, 3))
    assert await thing.effects("a") == [("a", 1), ("a", 2), ("a", 3)]


async def test_a_lost_database_connection_is_survived(thing: Things) -> None:
    async def cut_off_once(event: Event[Any], tx: Tx) -> None:
        await thing.note(event, tx)
        if event.data.number == 1 and not cuts:
            cuts.append(1)
            await tx.raw.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    cuts: list[int] = []
    await thing.publish("a", 0, 1, 2)
    async with running(relay_of(thing), consumer_of(thing, cut_off_once)):
        await eventually(lambda: has_effects(thing, 3))
    assert await thing.effects("a") == [("a", 0), ("a", 1), ("a", 2)]
    assert cuts


async def test_a_replica_without_a_partition_is_ready_and_stands_by(thing: Things) -> None:
    replicas = [consumer_of(thing) for _ in range(4)]  # of three partitions

    async def all_ready() -> bool:
        return all(replica.pulse.problem is None for replica in replicas)

    async with running(*replicas):
        await eventually(all_ready)


async def test_a_client_whose_fetching_has_ended_is_replaced(thing: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under uvloop a write to a connection that was just closed raises what aiokafka does not expect."""
    failed: list[object] = []
    send: Any = AIOKafkaConnection.send

    def failing(self: AIOKafkaConnection, request: Any, **given: Any) -> Any:
        if isinstance(request, FetchRequest) and not failed:
            failed.append(request)
            raise RuntimeError("unable to perform operation; the handler is closed")
        return send(self, request, **given)

    monkeypatch.setattr(LagWatch, "EVERY", timedelta(seconds=0.2))
    reading = Consumer(thing.name, thing.service(thing.note).handlers, thing.database, thing.kafka, stuck_after=1)
    async with running(relay_of(thing), reading):
        await publish_many(thing, keys=1, each=1)
        await eventually(lambda: has_effects(thing, 1))
        monkeypatch.setattr(AIOKafkaConnection, "send", failing)
        await eventually(lambda: bool(failed))
        await thing.publish("key-0", 1)
        await eventually(lambda: has_effects(thing, 2))


async def test_whoever_waits_for_news_leaves_without_waiting_for_them(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS says goodbye and waits for the broker's, who hears nothing on a connection while it holds a fetch there."""
    fetched: list[object] = []
    send: Any = AIOKafkaConnection.send

    def noting(self: AIOKafkaConnection, request: Any, **given: Any) -> Any:
        fetched.extend([request] if isinstance(request, FetchRequest) else [])
        return send(self, request, **given)

    monkeypatch.setattr(AIOKafkaConnection, "send", noting)
    monkeypatch.setattr(consumer, "FETCH_MS", 15_000)
    reading = consumer_of(thing)
    run = asyncio.create_task(reading.run())
    async with running(relay_of(thing)):
        await eventually(lambda: bool(fetched))
        await publish_many(thing, keys=1, each=1)
        await eventually(lambda: has_effects(thing, 1))
        await eventually(lambda: len(fetched) > 1)
    reading.stop()
    async with asyncio.timeout(4):
        await run
