"""What would grow for ever is pruned by age, and nothing younger is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backbone.consuming import sql as consuming
from backbone.settings import Settings
from backbone.storage import housekeeping, sql
from backbone.storage.database import Database
from backbone.storage.housekeeping import Housekeeping, prune
from backbone.storage.statement import Statement
from tests.conftest import NewDatabase
from tests.integration.things import running
from tests.waiting import eventually

MANY = 6000  # more than are deleted in one transaction


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[Database]:
    opened = Database(await asyncio.to_thread(new_database, "loyalty"), "loyalty")
    yield opened
    await opened.close()


async def remember(database: Database, days: int, count: int) -> None:
    """Deliveries, attempts at jobs, and answers of so many days ago."""
    async with database.transaction() as tx:
        await tx.raw.execute(
            """
            INSERT INTO inbox (consumer, name, occurrence, received_at)
            SELECT 'loyalty', 'happened', $1::int || '-' || number, now() - make_interval(days => $1::int)
            FROM generate_series(1, $2::int) AS number
            """,
            days,
            count,
        )
        await tx.raw.execute(
            """
            INSERT INTO retried_jobs (kind, key, attempts, ended_at, correlationid)
            SELECT 'send', number::text, 2, now() - make_interval(days => $1::int), 'story'
            FROM generate_series(1, $2::int) AS number
            """,
            days,
            count,
        )
        await tx.raw.execute(
            """
            INSERT INTO idempotency_keys (scope, key, fingerprint, status, created_at)
            SELECT 'POST /orders', $1::int || '-' || number, '', 202, now() - make_interval(days => $1::int)
            FROM generate_series(1, $2::int) AS number
            """,
            days,
            count,
        )


async def give_up(database: Database, *days: int) -> None:
    """Letters discarded or edited, acts, and pauses ended, so many days ago.

    With what is older and stays: a pause that lasts, and the original of a copy that is still parked.
    """
    edited = """
        INSERT INTO edited_letters (letter, consumer, topic, partition, "offset", diff, edited_at, edited_by, reason)
        VALUES ($1, 'c', 't', 0, $1, '', now() - make_interval(days => $2), 'ann', 'r')
    """
    async with database.transaction() as tx:
        parked = await tx.raw.fetchval(
            """
            INSERT INTO dead_letters (consumer, topic, partition, "offset", key, headers)
            VALUES ('c', 't', 0, 0, 'k', '[]') RETURNING id
            """
        )
        await tx.raw.execute(edited, parked, 365)
        for at, age in enumerate(days, parked + 1):
            await tx.raw.execute(edited, at, age)
            await tx.raw.execute(
                "INSERT INTO acts (at, actor, act, about) VALUES (now() - make_interval(days => $1), 'a', 'b', '{}')",
                age,
            )
            await tx.raw.execute(
                """
                INSERT INTO discarded_letters (id, consumer, topic, partition, "offset", key, headers, parked_at,
                                               discarded_at, discarded_by, reason)
                VALUES ($1, 'c', 't', 0, $1, 'k', '[]', now(), now() - make_interval(days => $2), 'ann', 'r')
                """,
                at,
                age,
            )
            await tx.raw.execute(
                """
                INSERT INTO pauses (what, name, reason, paused_by, resumed_at, resumed_by)
                VALUES ('key', $1::int::text, 'r', 'ann', now() - make_interval(days => $2), 'bob')
                """,
                at,
                age,
            )
        await tx.raw.execute(
            """
            INSERT INTO pauses (what, name, reason, paused_by, paused_at)
            VALUES ('key', 'lasting', 'r', 'ann', now() - interval '1 year')
            """
        )


async def kept(database: Database, table: str) -> int:
    async with database.transaction() as tx:
        return int(await tx.raw.fetchval(f"SELECT count(*) FROM {table}"))


PRUNED = ("discarded_letters", "edited_letters", "redrives", "acts", "pauses")
COUNTED = ("dead_letters_parked", "dead_letters_held", "discarded_letters_counted")


async def planned(database: Database, statement: Statement, *arguments: object) -> str:
    """The plan that a statement gets where there are very many rows."""
    async with database.transaction() as tx:
        await tx.raw.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        return "\n".join(row[0] for row in await tx.raw.fetch(f"EXPLAIN {statement.text}", *arguments))


async def test_what_is_old_or_of_a_story_or_counts_is_found_by_an_index(database: Database) -> None:
    prunes = (sql.DISCARDED_PRUNE, sql.EDITED_PRUNE, sql.REDRIVES_PRUNE, sql.ACTS_PRUNE, sql.PAUSES_PRUNE)
    for table, statement in zip(PRUNED, prunes, strict=True):
        assert f"Seq Scan on {table}" not in await planned(database, statement, timedelta(days=30))
    assert "Index Scan using jobs_story" in await planned(database, consuming.JOBS_OF_STORIES, ["a"], 10)
    counts = await planned(database, consuming.COUNTS)
    assert [name for name in COUNTED if f"Index Only Scan using {name}" not in counts] == []


async def test_old_deliveries_are_forgotten_and_young_ones_kept(database: Database) -> None:
    await remember(database, 15, MANY)
    await remember(database, 13, 3)
    assert await prune(database, sql.INBOX_PRUNE, timedelta(days=14)) == MANY
    assert await kept(database, "inbox") == 3
    assert await prune(database, sql.INBOX_PRUNE, timedelta(days=14)) == 0


async def test_old_idempotency_keys_are_forgotten_and_young_ones_kept(database: Database) -> None:
    await remember(database, 3, MANY)
    await remember(database, 1, 3)
    assert await prune(database, sql.KEYS_PRUNE, timedelta(days=2)) == MANY
    assert await kept(database, "idempotency_keys") == 3


async def test_a_running_process_prunes_by_itself(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "EVERY", timedelta(seconds=1))
    await remember(database, 17, 2)
    await remember(database, 1, 2)
    await give_up(database, 9, 7)

    left = {
        **dict.fromkeys(("inbox", "retried_jobs", "idempotency_keys", "pauses", "edited_letters"), 2),
        **dict.fromkeys(("discarded_letters", "acts"), 1),
    }

    async def is_pruned() -> bool:
        counts = {table: await kept(database, table) for table in left}
        return counts == left

    settings = Settings(database_url="postgresql://unused", letter_days=8, replay_days=0, inbox_days=16)
    async with running(Housekeeping(database, settings)):
        await eventually(is_pruned)
