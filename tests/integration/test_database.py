"""What is committed stays, whoever used the connection before and however that ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from backbone.running.faults import is_passing
from backbone.storage.database import Database
from backbone.storage.statement import Statement, tuples
from backbone.storage.tables import sequences
from tests.conftest import NewDatabase

COUNT_UP = Statement(
    """
    INSERT INTO sequences (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (key) DO UPDATE SET :new.excluded WHERE sequences.last < excluded.last
    """,
    new=tuples(sequences),
)


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


async def test_rows_that_a_statement_must_write_are_written_all_or_the_fault_passes(database: Database) -> None:
    async with database.transaction() as tx:
        await COUNT_UP.execute_exactly(tx.raw, 2, new=[("a", 1), ("b", 5)])
    with pytest.raises(asyncpg.SerializationError) as left_out:
        async with database.transaction() as tx:
            await COUNT_UP.execute_exactly(tx.raw, 2, new=[("a", 2), ("b", 4)])
    assert is_passing(left_out.value)
    assert await numbers(database) == {"a": 1, "b": 5}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("INSERT INTO sequences SELECT number::text, 1 FROM generate_series(1, :number) AS number", 3),
        ("UPDATE sequences SET last = :number", 2),
        ("DELETE FROM sequences WHERE last < :number", 2),
        ("SELECT FROM sequences WHERE last > :number", 0),
    ],
)
async def test_a_statement_tells_how_many_rows_it_was_about(database: Database, text: str, count: int) -> None:
    async with database.transaction() as tx:
        assert await COUNT_UP.execute(tx.raw, new=[("a", 1), ("b", 2)]) == 2
        assert await Statement(text).execute(tx.raw, number=3) == count


async def numbers(database: Database) -> dict[str, int]:
    return {row["key"]: row["last"] for row in await database.fetch("SELECT key, last FROM sequences")}


async def backend(database: Database) -> int:
    [(pid,)] = await database.fetch("SELECT pg_backend_pid()")
    return int(pid)


async def seen_by_another(url: str) -> int:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM sequences"))
    finally:
        await connection.close()
