"""Whoever has nothing to do sleeps, and is woken: by a commit here, by one elsewhere, by a job that becomes due."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from backbone.context import Context
from backbone.jobs.work import Job, Work
from backbone.jobs.worker import Worker
from backbone.publishing.relay import Relay
from backbone.running.retry import FOR_EVER
from backbone.settings import Settings
from backbone.storage import bell
from backbone.storage.bell import Bell
from backbone.storage.database import Database
from tests.integration.relaying import outbox_is_empty
from tests.integration.things import Things, running
from tests.roads import Road
from tests.waiting import eventually

KIND = "bake"
HOURS = 3600.0


@pytest.fixture(autouse=True)
def asleep_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself while a test runs: what is done was told."""
    for sleeper in ("publishing.relay", "jobs.worker"):
        monkeypatch.setattr(f"backbone.{sleeper}.SLEEP", timedelta(seconds=HOURS))
    monkeypatch.setattr("backbone.jobs.worker.POLL", HOURS)


@asynccontextmanager
async def elsewhere(thing: Things) -> AsyncIterator[Database]:
    """Another process's connections to the same database; it has no relay and no workers, and tells the others."""
    database = Database(_url(thing.database), thing.name)
    try:
        async with running(Bell(database)):
            yield database
    finally:
        await database.close()


def _url(database: Database) -> str:
    return database._url


def _worker(thing: Things, done: list[str]) -> Worker:
    async def bake(job: Job, _: Context[Settings]) -> None:
        done.append(job.key)

    async def nothing(*_: object) -> None:
        return None

    context = Context(Settings(database_url=_url(thing.database)), thing.database)
    return Worker(KIND, Work(run=bake, settle=nothing, retry=FOR_EVER), context)


def _has(done: list[str], number: int) -> bool:
    return len(done) == number


async def _is_listening(database: Database) -> None:
    await eventually(lambda: database.wakeups.is_listening, 20)


async def schedule(database: Database, key: str, due: datetime | None = None) -> None:
    async with database.transaction() as tx:
        tx.schedule(KIND, key, due=due)


async def publish(database: Database, thing: Things) -> None:
    async with database.transaction() as tx:
        tx.publish(thing.happened(1), key="a")


async def test_a_relay_that_sleeps_publishes_what_another_process_committed(thing: Things) -> None:
    async with running(Bell(thing.database), Relay(thing.database, thing.kafka, poll=HOURS)):
        await _is_listening(thing.database)
        async with elsewhere(thing) as other:
            for _ in range(3):
                await publish(other, thing)
                await eventually(lambda: outbox_is_empty(thing), 20)


async def test_a_worker_that_sleeps_does_what_another_process_scheduled(thing: Things) -> None:
    done: list[str] = []
    async with running(Bell(thing.database), _worker(thing, done)):
        await _is_listening(thing.database)
        async with elsewhere(thing) as other:
            for number, key in enumerate(("a", "b"), start=1):
                await schedule(other, key)
                await eventually(partial(_has, done, number), 20)


@pytest.mark.parametrize("is_here", [True, False])
async def test_a_worker_that_sleeps_wakes_when_a_job_becomes_due(thing: Things, is_here: bool) -> None:
    done: list[str] = []
    async with running(Bell(thing.database), _worker(thing, done)), elsewhere(thing) as other:
        await _is_listening(thing.database)
        due = datetime.now(UTC) + timedelta(seconds=1.5)
        await schedule(thing.database if is_here else other, "later", due)
        await eventually(lambda: done == ["later"], 20)
        assert datetime.now(UTC) >= due


async def test_what_was_told_while_the_bell_was_deaf_is_done_when_it_hears_again(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    may_connect, connect = asyncio.Event(), thing.database.connect_aside

    async def when_allowed(within: float) -> "asyncpg.Connection[Any]":
        await may_connect.wait()
        return await connect(within)

    monkeypatch.setattr(thing.database, "connect_aside", when_allowed)
    may_connect.set()
    async with running(Bell(thing.database), _worker(thing, done)):
        await _is_listening(thing.database)
        may_connect.clear()
        await _cut_off_the_bell(thing.database)
        await eventually(lambda: not thing.database.wakeups.is_listening, 20)
        silent = Database(_url(thing.database), thing.name)  # it has no bell: nobody is told
        await schedule(silent, "unheard")
        await silent.close()
        may_connect.set()
        await eventually(lambda: done == ["unheard"], 20)


async def _cut_off_the_bell(database: Database) -> None:
    listening = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    assert await database.fetch(f"SELECT pg_terminate_backend(pid) FROM ({listening}) AS listeners")


class Silenced(Road):
    """A way on which, at each new `era`, nothing more of those under way gets through, and nobody is told."""

    era = 0

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._travellers |= {writer, back}
        era = self.era
        await asyncio.gather(self._pump(era, reader, back), self._pump(era, there, writer), return_exceptions=True)
        self._travellers -= {writer, back}

    async def _pump(self, era: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if era == self.era:
                    writer.write(data)
        finally:
            writer.transport.abort()


async def test_a_bell_whose_connection_fell_silent_listens_over_another(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "_SILENCE", 0.2)
    monkeypatch.setattr(bell, "_WITHIN", 2.0)
    url = urlsplit(_url(thing.database))
    async with Silenced(f"{url.hostname}:{url.port}") as road:
        await road.open()
        login = url.netloc.rpartition("@")[0]
        database = Database(url._replace(netloc=f"{login}@{road.address}").geturl(), thing.name)
        async with running(Bell(database)):
            await _is_listening(database)
            road.era += 1
            await eventually(lambda: not database.wakeups.is_listening, 20)
            await _is_listening(database)
        await database.close()
