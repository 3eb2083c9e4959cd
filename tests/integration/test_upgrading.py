"""An upgrade from the last release beside its running code: it comes through, and nobody is held up by it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from alembic import command

from backbone.running.coalescer import PATIENCE
from backbone.running.retry import RetryPolicy
from backbone.storage import migrations
from tests.waiting import eventually

LAST_RELEASE = ("backbone_0001", "payments_0001")
MOVE = "UPDATE consumer_offsets SET next_offset = next_offset + 1"
SCHEDULE = "INSERT INTO jobs (kind, key, data, due, correlationid) VALUES ('charge', $1, '{}', now(), 'c')"
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Release:
    """A database as the last release left it."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that bears waiting for a lock for as long as a command does."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(f"SET lock_timeout = {PATIENCE.total_seconds() * 1000:.0f}")
            yield connection
        finally:
            await connection.close()

    async def upgrade(self) -> list[str]:
        return await asyncio.to_thread(migrations.upgrade, "payments", self.url)

    async def until_waited(self, times: int = 1) -> None:
        """Until so many tries of a migration have waited for a lock; each is a session of its own."""
        seen: set[int] = set()

        async def waited() -> bool:
            seen.update(row["pid"] for row in await watching.fetch(WAITING))
            return len(seen) >= times

        async with self.connected() as watching:
            await eventually(waited, 20)


@pytest.fixture
async def release(postgres: str) -> Release:
    name = f"payments_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template1')
    await connection.close()
    made = Release(f"{postgres.rsplit('/', 1)[0]}/{name}")
    for revision in LAST_RELEASE:
        await asyncio.to_thread(command.upgrade, migrations.config_of("payments", made.url), revision)
    async with made.connected() as connection:
        await connection.execute("INSERT INTO consumer_offsets VALUES ('payments', 'orders.events', 0, 0)")
    return made


async def test_a_consumer_that_stands_in_an_upgrade_s_way_goes_on_to_its_jobs(release: Release) -> None:
    async with release.connected() as consumer, consumer.transaction():
        await consumer.execute(MOVE)
        upgrading = asyncio.create_task(release.upgrade())
        await release.until_waited()
        await consumer.execute(SCHEDULE, "a")
    assert await upgrading == []
    async with release.connected() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE indexname = 'jobs_failing'") == 1
        assert await connection.fetchval("SELECT log FROM consumer_offsets") is None


async def test_an_upgrade_tries_again_while_a_lock_is_held_and_keeps_writers_no_longer_than_they_bear(
    release: Release,
) -> None:
    async def write() -> None:
        async with release.connected() as writer:
            while not done.is_set():
                await writer.execute(SCHEDULE, uuid4().hex)

    done = asyncio.Event()
    writing = asyncio.create_task(write())
    async with release.connected() as reader, reader.transaction():
        await reader.execute("LOCK TABLE jobs IN ROW EXCLUSIVE MODE")
        upgrading = asyncio.create_task(release.upgrade())
        await release.until_waited(times=3)
    assert await upgrading == []
    done.set()
    await writing


async def test_an_upgrade_that_ended_early_goes_on_where_it_stood(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "AGAIN", RetryPolicy(attempts=1))
    async with release.connected() as reader, reader.transaction():
        await reader.execute("LOCK TABLE consumer_offsets IN ACCESS SHARE MODE")
        with pytest.raises(migrations.MigrationFailed, match=r"payments, 0006_logs.py: somebody else holds"):
            await release.upgrade()
        heads = {row["version_num"] for row in await reader.fetch("SELECT version_num FROM alembic_version")}
        assert "backbone_0005" in heads
    assert await release.upgrade() == []
