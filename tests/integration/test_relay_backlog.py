"""The relay behind a backlog: batches that grow, several of them in one transaction, and everything that can fail."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.partitioner import DefaultPartitioner

from backbone.events import contracts
from backbone.events.payload import Payload
from backbone.publishing import publisher, relay
from backbone.publishing.publisher import PackedRows
from backbone.publishing.relay import Relay
from backbone.storage import sql
from backbone.storage.database import Tx
from local import kafka as local_kafka
from tests.conftest import NewDatabase
from tests.integration.relaying import (
    WRITERS,
    WRITES,
    assert_complete_and_in_order,
    outbox_is_empty,
    relay_of,
    write_with_pauses,
)
from tests.integration.things import Things, running, running_until_killed, things
from tests.waiting import eventually

KEYS, EACH = 10, 600
READ_ROW_BY_ROW = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'outbox'"


async def fall_behind(thing: Things) -> int:
    """Fill the outbox with nobody to empty it, keys mixed; tells how many events that makes."""
    for start in range(0, EACH, 100):
        for key in range(KEYS):
            await thing.publish(f"key-{key}", *range(start, start + 100))
    return KEYS * EACH


def sizes_sent_by(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the size of each batch that the relay sends."""
    sizes: list[int] = []
    send = relay._publisher.send

    async def noting(batch: PackedRows) -> None:
        sizes.append(batch.count)
        await send(batch)

    monkeypatch.setattr(relay._publisher, "send", noting)
    return sizes


async def written_before_the_end(tx: Tx, payload: Payload, key: str) -> None:
    """Draw the event's position now; usually that is the last thing before the commit."""
    tx.publish(payload, key=key)
    await tx.flush()
    tx._outgoing.clear()


def once_it_sends(relay: Relay, action: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something happen while the relay's first batch is on its way."""
    send = relay._publisher.send
    actions = [action]

    async def acting(batch: PackedRows) -> None:
        while actions:
            await actions.pop()()
        await send(batch)

    monkeypatch.setattr(relay._publisher, "send", acting)


async def test_batches_grow_with_the_backlog_and_keep_the_order(thing: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    count = await fall_behind(thing)
    behind = relay_of(thing)
    sizes = sizes_sent_by(behind, monkeypatch)
    async with running(behind):
        assert_complete_and_in_order(await thing.published(count))
        await thing.publish("alone", 1)
        await eventually(lambda: outbox_is_empty(thing))
    assert sizes == [100, 200, 400, 800, 1000, 1000, 1000, 1000, count - 5500, 1]


async def test_writers_on_hot_keys_and_many_takes_in_a_transaction_lose_and_swap_nothing(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "FEWEST", 2)
    monkeypatch.setattr(relay, "MOST", 3)
    async with running(relay_of(thing)):
        await asyncio.gather(*(write_with_pauses(thing, writer) for writer in range(WRITERS)))
        assert_complete_and_in_order(await thing.published(WRITERS * WRITES * 2))


async def test_what_becomes_visible_late_still_goes_before_what_its_key_got_later(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first event of `late` has the lowest position of all, and is committed while the relay is under way."""
    monkeypatch.setattr(relay, "FEWEST", 1)
    monkeypatch.setattr(relay, "MOST", 1)
    behind = relay_of(thing)
    async with thing.database.transaction() as tx:
        await written_before_the_end(tx, thing.happened(1), "late")
        await thing.publish("early", *range(8))

        async def commit_and_publish_more() -> None:
            await tx.raw.execute("COMMIT; BEGIN")
            await thing.publish("late", 2)

        once_it_sends(behind, commit_and_publish_more, monkeypatch)
        async with running(behind):
            events = await thing.published(10)
    assert_complete_and_in_order(events)


async def test_what_exceeds_one_batch_of_a_partition_follows_in_turn(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "RECORDS_BYTES", 5000)
    await thing.publish("hot", *range(400))
    async with running(relay_of(thing)):
        assert_complete_and_in_order(await thing.published(400))


async def test_large_events_travel_in_small_batches(thing: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LARGE", 500)
    await thing.publish("a", *range(400))
    behind = relay_of(thing)
    sizes = sizes_sent_by(behind, monkeypatch)
    async with running(behind):
        assert_complete_and_in_order(await thing.published(400))
    assert max(sizes) == sizes[0] == 100
    assert 25 <= min(sizes[1:-1]) <= 50


async def test_records_carry_what_the_outbox_held(thing: Things) -> None:
    await thing.publish("ключ", 1, 2)
    async with thing.database.transaction() as tx:
        rows = [dict(row) for row in await tx.raw.fetch("SELECT * FROM outbox ORDER BY position")]
    async with running(relay_of(thing)):
        events = await thing.published(2)
    for event, row in zip(events, rows, strict=True):
        expected: dict[str, Any] = {name: row[name] for name in event.__struct_fields__ if name in row}
        expected["time"] = row["time"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        expected |= {"partitionkey": row["aggregateid"], "data": row["payload"].encode()}
        expected |= {"deprecation": None, "dataref": None}
        assert {name: getattr(event, name) for name in event.__struct_fields__} == expected


async def test_a_key_goes_to_the_partition_that_any_other_producer_would_choose(thing: Things) -> None:
    keys = [f"key-{number}" for number in range(30)]
    for key in keys:
        await thing.publish(key, 1)
    async with running(relay_of(thing)), thing.reading() as consumer:
        async with asyncio.timeout(30):
            records = [await consumer.getone() for _ in keys]
    for record in records:
        assert record.partition == DefaultPartitioner()(record.key, [0, 1, 2], [0, 1, 2])


@pytest.mark.long
async def test_relays_killed_in_the_middle_of_a_backlog_lose_and_swap_nothing(thing: Things) -> None:
    count = await fall_behind(thing)
    for _ in range(8):
        async with running_until_killed(relay_of(thing)), running_until_killed(relay_of(thing)):
            await asyncio.sleep(0.05 + random.random() * 0.15)
    async with running(relay_of(thing)):
        assert_complete_and_in_order(await thing.published(count))


async def test_a_relay_whose_session_ends_under_it_loses_and_swaps_nothing(thing: Things, postgres: str) -> None:
    count = await fall_behind(thing)
    superuser = await asyncpg.connect(postgres)
    async with running(relay_of(thing), relay_of(thing)):
        for _ in range(10):
            await asyncio.sleep(0.02 + random.random() * 0.1)
            await superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
                f"sliceline-{thing.name}",
            )
        assert_complete_and_in_order(await thing.published(count))
    await superuser.close()


async def test_batches_that_the_broker_finds_too_large_shrink_until_they_fit(thing: Things) -> None:
    admin = AIOKafkaAdminClient(**thing.kafka.client())
    await admin.start()
    limit = {"max.message.bytes": "10000"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, thing.topic, configs=limit)])
    await admin.close()
    await thing.publish("hot", *range(150))
    async with running(relay_of(thing)):
        assert_complete_and_in_order(await thing.published(150))
        await eventually(lambda: outbox_is_empty(thing))


@asynccontextmanager
async def thing_with_its_own_broker(
    new_database: NewDatabase, directory: Path
) -> AsyncIterator[tuple[Things, local_kafka.Kafka]]:
    broker = await asyncio.to_thread(local_kafka.start, directory / "kafka")
    try:
        url = await asyncio.to_thread(new_database, "orders")
        async with things(url, broker.admin, directory / "schemas") as thing:
            yield thing, broker
    finally:
        broker.server.kill()


async def test_a_broker_that_is_killed_and_comes_back_has_everything_in_order(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "SCHEMAS", tmp_path / "schemas")
    async with thing_with_its_own_broker(new_database, tmp_path) as (thing, broker):
        count = await fall_behind(thing)
        async with running(relay_of(thing)):
            await asyncio.sleep(0.15)
            broker.server.kill()
            await thing.publish("key-0", *range(EACH, EACH + 100))
            again = await asyncio.to_thread(local_kafka.start, tmp_path / "kafka", broker.ports)
            try:
                assert_complete_and_in_order(await thing.published(count + 100))
                await eventually(lambda: outbox_is_empty(thing))
            finally:
                again.server.kill()


async def test_a_backlog_is_taken_by_the_index_though_the_plan_was_made_for_an_empty_outbox(thing: Things) -> None:
    async def take() -> int:
        """Take as the relay does; tells how many rows of the outbox were read one after the other for it."""
        async with thing.database.transaction() as tx:  # one after the other, so on one connection
            assert await sql.RELAY_LOCK.fetchval(tx.raw)
            assert await sql.RELAY_TAKE.fetch(tx.raw, most=1000)
            return int(await tx.raw.fetchval(READ_ROW_BY_ROW))

    for number in range(8):  # from the sixth time on a plan is kept
        await thing.publish("a", number)
        await take()
    await fall_behind(thing)
    assert await take() == 0
