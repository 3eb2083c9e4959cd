"""What is committed stays, whoever used the connection before and however that ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from backbone.storage.database import Database
from tests.conftest import NewDatabase


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "orders")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """With one connection, so that everybody gets the one that was used before."""
    database = Database(url, "orders", size=1)
    yield database
    await database.close()


async def test_a_transaction_that_is_cut_off_anywhere_takes_no_later_one_with_it(url: str, database: Database) -> None:
    async def begin() -> None:
        async with database.transaction() as tx:
            await tx.raw.execute("SELECT 1")

    for rounds_of_the_loop in range(60):
        cut_off = asyncio.create_task(begin())
        for _ in range(rounds_of_the_loop):
            await asyncio.sleep(0)
        cut_off.cancel()
        async with database.transaction() as tx:
            key = f"after {rounds_of_the_loop}"
            await tx.raw.execute("INSERT INTO sequences (key, last) VALUES ($1, 1)", key)
        await asyncio.gather(cut_off, return_exceptions=True)
    assert await seen_by_another(url) == 60


async def test_a_statement_that_is_cut_off_takes_its_connection_with_it(database: Database) -> None:
    """The server may be dead: who comes next shall not find that out once more."""
    before = await backend(database)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await database.fetch("SELECT pg_sleep(60)")
    assert await backend(database) != before


async def backend(database: Database) -> int:
    [(pid,)] = await database.fetch("SELECT pg_backend_pid()")
    return int(pid)


async def seen_by_another(url: str) -> int:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM sequences"))
    finally:
        await connection.close()
