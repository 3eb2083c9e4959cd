"""The pace shared by all replicas, on a real database."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.work import Postpone
from backbone.storage import sql
from backbone.storage.database import Database
from services.payments import jobs, pace, store
from services.payments.decisions import Payment
from services.payments.events import Money
from services.payments.settings import Settings
from tests.conftest import NewDatabase

Write = Callable[[Database], Awaitable[None]]
LEASE = uuid4()


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[Database]:
    opened = Database(await asyncio.to_thread(new_database, "payments"), "payments")
    yield opened
    await opened.close()


async def test_no_pace_asks_nothing_of_the_database() -> None:
    await pace.take_slot(Database("postgresql://nobody@127.0.0.1:1/none", "payments"), 0)


async def test_slots_are_spread_evenly(database: Database) -> None:
    begun = time.monotonic()
    await asyncio.gather(*(pace.take_slot(database, 100) for _ in range(30)))
    assert time.monotonic() - begun > 29 / 95 - 0.01


async def test_a_slot_far_away_is_not_waited_for(database: Database) -> None:
    await pace.hold_off(database, 5, timedelta(minutes=10))
    with pytest.raises(Postpone) as later:
        await pace.take_slot(database, 5)
    assert timedelta(minutes=9) < later.value.delay < timedelta(minutes=10)


async def test_a_pause_is_obeyed_by_who_already_had_a_slot(database: Database) -> None:
    await pace.take_slot(database, 4)
    waiting = asyncio.create_task(pace.take_slot(database, 4))
    await asyncio.sleep(0.05)
    await pace.hold_off(database, 4, timedelta(seconds=1))
    begun = time.monotonic()
    await waiting
    assert time.monotonic() - begun > 0.9


IS_AHEAD_OF_DISK = "SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()"


async def slot(database: Database) -> None:
    await pace.take_slot(database, 1000)


async def pause(database: Database) -> None:
    await pace.hold_off(database, 1000, timedelta())


async def claim(database: Database) -> None:
    await sql.JOB_CLAIM.fetch(database, kind="charge", lease=timedelta(minutes=1), most=1)


async def renewal(database: Database) -> None:
    await sql.JOB_RENEW.fetch(database, id=1, lease=LEASE, lasting=timedelta(minutes=1))


@pytest.mark.parametrize("write", [slot, pause, claim, renewal])
async def test_what_a_crash_may_undo_does_not_wait_for_the_disk(database: Database, write: Write) -> None:
    """The log's writer brings it there a moment later, and sometimes is there first."""
    async with database.transaction() as tx:
        for number in range(40):
            tx.schedule("charge", f"order-{number}")
    await database.fetch("UPDATE jobs SET lease = $1 WHERE id = 1", LEASE)
    ahead = 0
    for _ in range(30):
        await write(database)
        [(is_ahead,)] = await database.fetch(IS_AHEAD_OF_DISK)
        ahead += is_ahead
    assert ahead > 10


async def test_that_a_charge_may_have_begun_is_on_the_disk_before_it_begins(database: Database) -> None:
    context = Context(Settings(database_url="postgresql://unused", provider_rate=0), database)
    for _ in range(20):
        order = new_id()
        async with database.transaction() as tx:
            await store.save(tx, Payment(order=order, customer="ada", amount=Money(1, "GBP")))
        [(before,)] = await database.fetch("SELECT pg_current_wal_insert_lsn()")
        await jobs._begin(context, [order])
        [(is_on_disk,)] = await database.fetch("SELECT pg_current_wal_flush_lsn() > $1", before)
        assert is_on_disk


async def test_slots_missed_in_a_stall_are_not_made_up_for_all_at_once(database: Database) -> None:
    reserved: list[float] = []

    async def rest(wait: float) -> None:
        reserved.append(time.monotonic())
        await asyncio.sleep(wait)

    waiting = [asyncio.create_task(pace.take_slot(database, 10, rest=rest)) for _ in range(12)]
    await asyncio.sleep(0.5)
    time.sleep(2)  # noqa: ASYNC251  the whole process stands still
    resumed = time.monotonic()
    await asyncio.gather(*waiting)
    ahead = await store.find_next_slot(database)
    anew = sum(moment > resumed for moment in reserved)
    assert anew >= 3
    # Each of them moved the next slot on by one interval, so that none shares its own with another.
    assert time.monotonic() - resumed + ahead > anew / 9.5
