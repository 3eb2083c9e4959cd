"""Processes whose clock is wrong: what is compared with a row's time comes from the database's clock, and works."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from backbone.context import Context
from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from backbone.jobs.work import Done, Job, Work
from backbone.jobs.worker import Worker
from backbone.running.retry import RetryPolicy
from backbone.settings import Settings
from backbone.storage.database import Database, Tx
from backbone.values.brokers import Brokers
from deployment import topics
from services.orders.decisions import DELAY_WATCH
from services.orders.jobs import JOBS
from services.orders.service import SERVICE
from tests.clocks import off_by
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.relaying import relay_of
from tests.integration.test_orders import body
from tests.integration.things import Things, running
from tests.waiting import eventually

AHEAD, BEHIND = timedelta(hours=2), timedelta(hours=-2)
both_ways = pytest.mark.parametrize("error", [AHEAD, BEHIND], ids=["ahead", "behind"])


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as made:
        yield made


def context_of(database: Database) -> Context[Any]:
    return Context(Settings(database_url="postgresql://unused"), database)


def is_close(moment: datetime) -> bool:
    return abs(moment - datetime.now(UTC)) < timedelta(seconds=30)


@both_ways
async def test_a_relay_whose_clock_is_wrong_publishes(
    thing: Things, error: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(error, monkeypatch)
    await thing.publish("a", 1, 2)
    async with running(relay_of(thing)):
        events = await thing.published(2)
    assert all(is_close(datetime.fromisoformat(event.time)) for event in events)


@both_ways
async def test_a_record_bears_the_time_of_its_arrival(
    thing: Things, error: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(error, monkeypatch)
    await thing.publish("a", 1)
    async with running(relay_of(thing)), thing.reading() as consumer:
        record = await asyncio.wait_for(consumer.getone(), 30)
    assert is_close(datetime.fromtimestamp(record.timestamp / 1000, UTC))


@both_ways
async def test_a_job_due_now_is_done_now(thing: Things, error: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    off_by(error, monkeypatch)
    done = asyncio.Event()

    async def run(_: Job, __: Context[Any]) -> None:
        done.set()

    async with thing.database.transaction() as tx:
        tx.schedule("bake", "a")
    async with running(Worker("bake", Work(run, nothing, RetryPolicy()), context_of(thing.database))):
        await asyncio.wait_for(done.wait(), 10)


@both_ways
async def test_a_job_due_later_is_due_by_the_databases_clock(
    thing: Things, error: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(error, monkeypatch)
    async with thing.database.transaction() as tx:
        tx.schedule("bake", "a", due=tx.now + timedelta(minutes=5))
        await tx.flush()
        due: datetime = await tx.raw.fetchval("SELECT due FROM jobs")
    assert is_close(due - timedelta(minutes=5))


@both_ways
async def test_a_job_is_tried_again_for_as_long_as_its_policy_says(
    thing: Things, error: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(error, monkeypatch)
    tries, policy = [], RetryPolicy(first=timedelta(milliseconds=20), within=timedelta(seconds=1))

    async def run(job: Job, _: Context[Any]) -> None:
        tries.append(job.attempt)
        raise ZeroDivisionError

    async with thing.database.transaction() as tx:
        tx.schedule("bake", "a")
    async with running(Worker("bake", Work(run, nothing, policy), context_of(thing.database))):
        await eventually(lambda: is_given_up(thing))
    assert len(tries) > 2


@both_ways
async def test_an_order_is_placed_and_watched_by_the_databases_clock(
    orders: Fed, error: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(error, monkeypatch)
    answer = await orders.client.post("/orders", json=body())
    assert is_close(datetime.fromisoformat(answer.json()["placed_at"]))
    due = await one(orders.database, "SELECT due FROM jobs")
    assert is_close(due - SERVICE.settings(database_url="postgresql://unused").delay_after)


@both_ways
async def test_an_order_in_time_is_not_called_late(
    orders: Fed, error: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: httpx.Response = await orders.client.post("/orders", json=body())
    off_by(error, monkeypatch)
    async with orders.database.transaction() as tx:
        tx.schedule(DELAY_WATCH, placed.json()["id"])
    settings = SERVICE.settings(database_url="postgresql://unused")
    async with running(Worker(DELAY_WATCH, JOBS[DELAY_WATCH], Context(settings, orders.database))):
        await eventually(lambda: is_due(orders.database, settings.delay_after))
    assert await one(orders.database, "SELECT delayed FROM orders") is False


async def test_a_clock_that_is_put_right_or_wrong_under_way_changes_nothing(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = thing.database.now()
    off_by(AHEAD, monkeypatch)
    async with thing.database.transaction() as tx:
        assert timedelta(0) <= tx.now - before < timedelta(seconds=30)


async def test_a_topic_of_an_earlier_release_gets_times_of_arrival_and_keeps_what_was_set_for_it(
    kafka: Brokers,
) -> None:
    name = f"{datetime.now(UTC):%H%M%S%f}.events"
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    try:
        old = {"message.timestamp.type": "CreateTime", "max.message.bytes": "1234567"}
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=old)])
        await topics.bring_up_to_date(admin, {name: buses.find(DEFAULT_BUS)}, 1)

        async def is_told() -> bool:  # the controller has answered; the broker hears of it a moment later
            answers: list[Any] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
            found = {entry[0]: entry[1] for entry in answers[0].resources[0][4]}
            return (found["message.timestamp.type"], found["max.message.bytes"]) == ("LogAppendTime", "1234567")

        await eventually(is_told)
    finally:
        await admin.close()


async def nothing(_: Sequence[Done], __: Tx) -> None: ...


async def one(database: Database, query: str) -> Any:
    [[value]] = await database.fetch(query)
    return value


async def is_given_up(thing: Things) -> bool:
    return bool(await one(thing.database, "SELECT parked_at IS NOT NULL FROM jobs"))


async def is_due(database: Database, later: timedelta) -> bool:
    return is_close(await one(database, "SELECT due FROM jobs") - later)
