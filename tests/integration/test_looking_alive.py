"""Whoever works, or waits for a server under a deadline, does not look stuck: the watchdog leaves it alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from backbone.consuming.consumer import Consumer
from backbone.events import contracts
from backbone.publishing.relay import Relay
from backbone.running.pulse import Pulse
from backbone.running.watchdog import Watchdog
from backbone.settings import Settings
from backbone.storage import sql
from backbone.storage.database import Database
from backbone.storage.housekeeping import Housekeeping, prune
from backbone.storage.statement import Statement
from backbone.values.brokers import Brokers
from local.ports import HOST
from tests.conftest import NewDatabase
from tests.integration.test_parking import Record, consumer_of, letters, record_of, send_raw
from tests.integration.things import Things, running_until_killed, things
from tests.waiting import eventually

pytestmark = pytest.mark.long

STUCK_AFTER = 2


async def watched(pulse: Pulse, until: Callable[[], Awaitable[bool]]) -> list[str]:
    """Look once a second, as the watchdog does, until the condition holds; returns for whom it would have ended all."""
    ended: list[str] = []
    watchdog = Watchdog([pulse], STUCK_AFTER, ended.append)

    async def look_and_ask() -> bool:
        watchdog.look()
        await asyncio.sleep(1)
        return bool(ended) or await until()

    await eventually(look_and_ask)
    return ended


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Takes every connection and never says a word, as a frozen server does."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(listen, HOST, 0)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def after(seconds: float) -> Callable[[], Awaitable[bool]]:
    """A condition that holds from so many seconds on."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def is_over() -> bool:
        return loop.time() > end

    return is_over


async def test_a_consumer_that_looks_for_an_unreadable_record_in_many_partitions_does(
    new_database: NewDatabase, kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "SCHEMAS", tmp_path)
    url = await asyncio.to_thread(new_database, "orders")
    tampered: Record = (b"a", b"{}", [("tampered", b"1")])
    async with things(url, kafka, tmp_path, partitions=8) as thing:
        async with thing.raw_producer() as producer:
            await send_raw(producer, thing.topic, [record_of(thing, "a", 0), tampered])
        consumer = consumer_of(thing, thing.note)

        async def is_parked() -> bool:
            return bool(await letters(thing)) and consumer.pulse.problem is None

        async with running_until_killed(consumer):
            assert await watched(consumer.pulse, is_parked) == []
            assert await watched(consumer.pulse, after(8)) == []


async def test_a_consumer_whose_broker_does_not_answer_does(thing: Things) -> None:
    async with silent_server() as kafka:
        consumer = Consumer(thing.name, thing.service(thing.note).handlers, thing.database, Brokers(kafka))
        async with running_until_killed(consumer):
            assert await watched(consumer.pulse, after(6)) == []


async def test_a_relay_whose_broker_does_not_answer_does(thing: Things) -> None:
    await thing.publish("a", 0)
    async with silent_server() as kafka:
        relay = Relay(thing.database, Brokers(kafka))
        async with running_until_killed(relay):
            assert await watched(relay.pulse, after(6)) == []


async def test_a_relay_whose_database_does_not_answer_does(thing: Things) -> None:
    async with silent_server() as postgres:
        database = Database(f"postgresql://nobody:nothing@{postgres}/none", thing.name)
        relay = Relay(database, thing.kafka)
        async with running_until_killed(relay):
            assert await watched(relay.pulse, after(6)) == []
        await database.close()


async def test_housekeeping_that_prunes_for_long_does(thing: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backbone.storage.housekeeping.EVERY", timedelta(seconds=1))
    slow = Statement("DELETE FROM inbox WHERE received_at < now() - :age::interval AND pg_sleep(5) IS NOT NULL")
    monkeypatch.setattr(sql, "INBOX_PRUNE", slow)
    await thing.database.fetch(
        "INSERT INTO inbox (consumer, name, occurrence, received_at) VALUES ('a', 'b', 'c', now() - interval '1 year')"
    )

    async def is_pruned() -> bool:
        return not await thing.database.fetch("SELECT FROM inbox")

    housekeeping = Housekeeping(thing.database, Settings(database_url="postgresql://unused"))
    async with running_until_killed(housekeeping):
        assert await watched(housekeeping.pulse, is_pruned) == []


async def test_housekeeping_beats_before_every_transaction_of_a_long_pruning(thing: Things) -> None:
    await thing.database.fetch(
        """INSERT INTO inbox (consumer, name, occurrence, received_at)
           SELECT 'a', 'b', number::text, now() - interval '1 year' FROM generate_series(1, 20001) AS number"""
    )
    part = Pulse("housekeeping")
    assert await prune(thing.database, sql.INBOX_PRUNE, timedelta(days=30), part.beat) == 20001
    assert part.beats == 6
