"""The pace shared by all replicas, on a real database."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backbone.database import Database
from backbone.jobs import Postpone
from services.payments import pace
from tests.conftest import NewDatabase


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[Database]:
    opened = Database(await asyncio.to_thread(new_database, "payments"), "payments")
    yield opened
    await opened.close()


async def test_no_pace_asks_nothing_of_the_database() -> None:
    await pace.take_slot(Database("postgresql://nobody@127.0.0.1:1/none", "payments"), 0)


async def test_slots_are_spread_evenly(database: Database) -> None:
    taken: list[float] = []

    async def take() -> None:
        await pace.take_slot(database, 100)
        taken.append(time.monotonic())

    await asyncio.gather(*(take() for _ in range(30)))
    assert max(taken) - min(taken) > 29 / 95 - 0.05


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
