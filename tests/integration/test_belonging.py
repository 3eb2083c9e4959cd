"""Tables that are older than the topics beside them are refused at start, until somebody has chosen."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.client import AIOKafkaClient

from backbone.consuming.consumer import Consumer
from backbone.consuming.places import Places
from backbone.consuming.reread import reread
from backbone.publishing.relay import Relay
from backbone.storage.database import Database
from backbone.values.brokers import Brokers
from deployment import migrate
from deployment.belonging import DoNotBelong, Kept, kept_by, settle
from deployment.migrate import Repartitioned
from deployment.newcomers import place
from tests.conftest import NewDatabase
from tests.integration.things import Things, create_topic, running
from tests.waiting import eventually


def consumer_of(thing: Things) -> Consumer:
    return Consumer(thing.name, thing.service(thing.note).handlers, thing.database, thing.kafka)


def relay_of(thing: Things) -> Relay:
    return Relay(thing.database, thing.kafka, poll=0.05)


def url_of(thing: Things) -> str:
    url = thing.database._engine.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


async def kept(thing: Things, *more: str) -> Kept | None:
    admin = AIOKafkaAdminClient(**thing.kafka.client())
    await admin.start()
    try:
        return await migrate._reach(
            "Kafka", thing.kafka.bootstrap, lambda: kept_by(thing.kafka, admin, [thing.name, *more], print), print
        )
    finally:
        await admin.close()


async def start(thing: Things, choice: str | None = None) -> None:
    """What migrate does about tables and topics."""
    found = await kept(thing)
    assert found is not None
    await settle(found, thing.kafka, {thing.name: url_of(thing)}, choice, print)


async def has(thing: Things, *numbers: int) -> bool:
    return {("a", number) for number in numbers} <= set(await thing.effects("a"))


async def handled(thing: Things, *numbers: int) -> None:
    await thing.publish("a", *numbers)
    async with running(relay_of(thing), consumer_of(thing)):
        await eventually(lambda: has(thing, *numbers))


@pytest.fixture
async def lost(thing: Things, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Things]:
    """The same service with empty tables, after it has published and read two events."""
    await handled(thing, 0, 1)
    database = Database(await asyncio.to_thread(new_database, "orders"), thing.name, size=20)
    async with database.transaction() as tx:
        await tx.raw.execute(
            "CREATE TABLE effects (key text, number int, position bigint GENERATED ALWAYS AS IDENTITY)"
        )
    module: Any = SimpleNamespace(SERVICE=thing.service(thing.note))
    monkeypatch.setitem(sys.modules, f"services.{thing.name}.service", module)
    yield replace(thing, database=database)
    await database.close()


async def test_new_tables_beside_topics_that_were_read_are_refused_with_the_choices(lost: Things) -> None:
    with pytest.raises(DoNotBelong) as refused:
        await start(lost)
    said = str(refused.value)
    assert f"{lost.name}: it had read {lost.topic}, partition " in said
    assert all(choice in said for choice in ("read ", "skip ", "./sliceline reset"))
    assert "; its topic holds event 2 of a; its tables know of none; its tables are empty\n" in said


async def test_new_tables_are_refused_where_only_the_topic_tells_of_them(thing: Things, lost: Things) -> None:
    found = await kept(lost)
    assert found is not None
    expired = replace(found, read_to={lost.name: {}})  # as when Kafka has forgotten the group
    with pytest.raises(DoNotBelong) as refused:
        await settle(expired, lost.kafka, {lost.name: url_of(lost)}, None, print)
    assert "its topic holds event 2 of a; its tables know of none" in str(refused.value)


async def test_whoever_chose_to_read_reads_all_and_is_not_asked_again(lost: Things) -> None:
    await start(lost, "read")
    async with running(consumer_of(lost)):
        await eventually(lambda: has(lost, 0, 1))
    await start(lost)


async def test_whoever_chose_to_read_is_not_asked_again_before_all_is_read(lost: Things) -> None:
    await start(lost, "read")
    await start(lost)


async def test_whoever_chose_to_skip_begins_at_the_newest_and_counts_on(lost: Things) -> None:
    await start(lost, "skip")
    await start(lost)
    await handled(lost, 2)
    assert await lost.effects() == [("a", 2)]
    assert [each.sequence for each in await lost.published(3)] == [1, 2, 3]


async def test_tables_that_belong_are_passed_and_so_is_a_newcomer(thing: Things, new_database: NewDatabase) -> None:
    await handled(thing, 0, 1)
    await start(thing)
    found = await kept(thing, "newcomer")
    assert found is not None
    await settle(found, thing.kafka, {"newcomer": await asyncio.to_thread(new_database, "orders")}, None, print)


@pytest.fixture
async def newcomer(thing: Things, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Things]:
    """A service that mails about what another one's topic has held for long, with tables of its own."""
    await handled(thing, 0, 1)
    name = f"{thing.name}-mails"
    database = Database(await asyncio.to_thread(new_database, "orders"), name, size=20)
    async with database.transaction() as tx:
        await tx.raw.execute(
            "CREATE TABLE effects (key text, number int, position bigint GENERATED ALWAYS AS IDENTITY)"
        )
    jobs: Any = {"mail": None}
    module: Any = SimpleNamespace(SERVICE=replace(thing.service(thing.note), name=name, jobs=jobs))
    monkeypatch.setitem(sys.modules, f"services.{name}.service", module)
    yield replace(thing, name=name, database=database)
    await database.close()


async def placed(thing: Things, newcomer: Things, choice: str | None = None) -> list[str]:
    """What migrate says of the newcomer, which then reads what comes."""
    said: list[str] = []
    await place(await kept(thing, newcomer.name), {newcomer.name: url_of(newcomer)}, choice, said.append)
    return said


async def publish_and_read(thing: Things, newcomer: Things) -> list[tuple[str, int]]:
    """Publish one more, and return what the newcomer has done when it has read it."""
    handlers = thing.service(newcomer.note).handlers
    await thing.publish("a", 2)
    async with running(relay_of(thing), Consumer(newcomer.name, handlers, newcomer.database, thing.kafka)):
        await eventually(lambda: has(newcomer, 2))
    return await newcomer.effects()


async def test_a_new_listener_with_jobs_begins_at_the_newest_event_and_misses_none_from_then_on(
    thing: Things, newcomer: Things
) -> None:
    [said] = await placed(thing, newcomer)
    assert f"{newcomer.name} is new and has jobs" in said
    assert f"./sliceline reread {newcomer.name}" in said
    assert await publish_and_read(thing, newcomer) == [("a", 2)]
    assert await placed(thing, newcomer) == []


async def test_a_new_listener_reads_all_when_it_is_told_to(thing: Things, newcomer: Things) -> None:
    assert await placed(thing, newcomer, "read") == []
    assert await publish_and_read(thing, newcomer) == [("a", 0), ("a", 1), ("a", 2)]


async def test_a_listener_that_was_there_before_anything_was_said_misses_nothing_however_late_it_reads(
    thing: Things, newcomer: Things
) -> None:
    await place(None, {newcomer.name: url_of(newcomer)}, None, print)  # as at the first start of all
    assert await placed(thing, newcomer) == []
    assert await publish_and_read(thing, newcomer) == [("a", 0), ("a", 1), ("a", 2)]


async def test_topics_that_never_held_anything_are_not_looked_at(thing: Things) -> None:
    assert await kept(thing) is None


@pytest.mark.parametrize(
    ("older", "said"),
    [
        ("UPDATE consumer_offsets SET next_offset = 1 WHERE next_offset = 3", "to offset 3; its tables know of 1"),
        (
            "UPDATE consumer_offsets SET next_offset = 0, reached_offset = 2 WHERE next_offset = 3",
            "to offset 3; its tables know of 2",
        ),
        ("DELETE FROM consumer_offsets", "to offset 3; its tables know of none"),
        ("UPDATE sequences SET last = 1", "its topic holds event 3 of a; its tables know of 1"),
        ("DELETE FROM sequences", "its topic holds event 3 of a; its tables know of none"),
    ],
)
async def test_tables_of_an_older_backup_are_refused(thing: Things, older: str, said: str) -> None:
    await handled(thing, 0, 1, 2)
    async with thing.database.transaction() as tx:
        await tx.raw.execute(older)
    with pytest.raises(DoNotBelong, match=said):
        await start(thing)


async def test_tables_of_an_older_backup_are_refused_with_all_that_they_lack(thing: Things) -> None:
    await thing.publish("b", 0, 1)
    await handled(thing, 0, 1, 2)
    found = await kept(thing)
    assert found is not None
    one_more = replace(found, sequences={thing.name: {"a": 3, "b": 2}})
    async with thing.database.transaction() as tx:
        await tx.raw.execute("UPDATE consumer_offsets SET next_offset = 0; UPDATE sequences SET last = 1")
    with pytest.raises(DoNotBelong) as refused:
        await settle(one_more, thing.kafka, {thing.name: url_of(thing)}, None, print)
    said = str(refused.value)
    assert f"{thing.name}: it had read {thing.topic}, partition " in said
    assert "; its topic holds event 3 of a; its tables know of 1 (and 1 more key); its tables are not empty\n" in said


async def taken(thing: Things) -> None:
    """What a consumer does first, as if it were killed then: Kafka is not told."""
    client = AIOKafkaClient(**thing.kafka.client())
    await client.bootstrap()
    try:
        assert await Places(thing.database, thing.name).take(client, [(thing.topic, each) for each in range(3)])
    finally:
        await client.close()


async def test_a_service_that_was_told_to_reread_is_passed_before_and_after_it_begins(thing: Things) -> None:
    await handled(thing, 0, 1, 2)
    assert await reread(thing.database, thing.name, None) == [thing.topic]
    await start(thing)
    await taken(thing)
    await start(thing)


async def test_a_service_whose_log_was_cut_back_is_passed_while_it_reads_again(thing: Things) -> None:
    await handled(thing, 0, 1, 2)
    async with thing.database.transaction() as tx:
        await tx.raw.execute("UPDATE consumer_offsets SET next_offset = 100, checked_offset = 100")
    await taken(thing)
    await start(thing)


async def test_tables_that_lack_only_what_the_log_no_longer_holds_are_passed(thing: Things) -> None:
    await handled(thing, 0, 1, 2)
    async with thing.database.transaction() as tx:
        await tx.raw.execute("DELETE FROM consumer_offsets")
    with pytest.raises(DoNotBelong):
        await start(thing)
    admin = AIOKafkaAdminClient(**thing.kafka.client())
    await admin.start()
    try:
        await admin.delete_records({await fullest(thing): RecordsToDelete(3)})
    finally:
        await admin.close()
    await start(thing)


async def fullest(thing: Things) -> TopicPartition:
    async with thing.reading() as reader:
        partitions = [TopicPartition(thing.topic, number) for number in range(3)]
        ends: dict[TopicPartition, int] = await reader.end_offsets(partitions)
    return max(ends, key=lambda each: ends[each])


async def test_a_group_moved_by_a_tool_is_explained_and_reading_on_handles_the_rest_once(thing: Things) -> None:
    await handled(thing, 0, 1)
    await thing.publish("a", 2, 3)
    async with running(relay_of(thing)):
        await thing.published(4)
    tool = AIOKafkaConsumer(**thing.kafka.client(), group_id=thing.name, enable_auto_commit=False)
    await tool.start()
    try:
        full = await fullest(thing)
        tool.assign([full])
        await tool.commit({full: 4})
    finally:
        await tool.stop()
    with pytest.raises(DoNotBelong, match="If nothing was lost, a tool has moved a group's offsets"):
        await start(thing)
    await start(thing, "read")
    async with running(consumer_of(thing)):
        await eventually(lambda: has(thing, 2, 3))
    assert await thing.effects() == [("a", number) for number in range(4)]
    await start(thing)


async def test_a_service_whose_topic_is_only_made_now_is_compared_like_the_others(
    kafka: Brokers, thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = f"{thing.name}-old", f"{thing.name}-new"
    await create_topic(kafka, f"{old}.events", 12)
    async with thing.raw_producer() as producer:
        await producer.send_and_wait(f"{old}.events", b"x")
    monkeypatch.setattr(migrate, "CATALOGUE", {old: 1, new: 2})
    found = await migrate.make_topics(kafka, 1, print)
    assert found is not None
    await settle(found, kafka, dict.fromkeys((old, new), url_of(thing)), None, print)


@pytest.mark.parametrize("count", [1, 24])
async def test_another_number_of_partitions_is_refused(
    kafka: Brokers, thing: Things, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{thing.name}-{count}"
    await create_topic(kafka, f"{name}.events", count)
    monkeypatch.setattr(migrate, "CATALOGUE", {name: 1})
    with pytest.raises(Repartitioned, match=f"{name}.events has {count} partitions instead of 12"):
        await migrate.make_topics(kafka, 1, lambda _: None)
