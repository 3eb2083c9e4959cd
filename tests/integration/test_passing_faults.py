"""What a server or its administrator has to mend is waited out: no sound event is parked for it, and none skipped."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import BatchHandler, Handler
from backbone.events.payload import Event
from backbone.running.faults import is_passing
from backbone.storage.database import Database, Tx
from tests.integration import test_parking as parking
from tests.integration.test_parking import consumer_of, letters, record_of, send
from tests.integration.things import Things, running
from tests.waiting import eventually


@dataclass
class Administrator:
    """Somebody who changes the server under a running service."""

    raw: Any
    database: str
    role: str

    async def does(self, statement: str) -> None:
        """End all sessions of the database, then run the statement: whoever comes back meets the change."""
        everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
        await self.raw.execute(everybody, self.database)
        await self.raw.execute(statement.format(database=self.database, role=self.role))


@pytest.fixture
async def administrator(thing: Things, postgres: str) -> AsyncIterator[Administrator]:
    connection = await asyncpg.connect(postgres)
    role = f"service_{uuid4().hex[:8]}"
    (row,) = await thing.database.fetch("SELECT current_database() AS name")
    await connection.execute(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'secret'")
    yield Administrator(connection, row["name"], role)
    await connection.close()


@pytest.fixture
async def service(thing: Things, administrator: Administrator, postgres: str) -> AsyncIterator[Things]:
    """The same with connections of its own, of a role of its own: what happens to them, the test does not meet."""
    server = f"{administrator.role}:secret@{urlsplit(postgres).netloc.rpartition('@')[2]}"
    database = Database(f"postgresql://{server}/{administrator.database}", thing.name)
    yield replace(thing, database=database)
    await database.close()


@pytest.mark.parametrize(
    ("fault", "spoil", "mend"),
    [
        (
            "read-only transaction",
            "ALTER DATABASE {database} SET default_transaction_read_only = on",
            "ALTER DATABASE {database} RESET default_transaction_read_only",
        ),
        ("not permitted to log in", "ALTER ROLE {role} NOLOGIN", "ALTER ROLE {role} LOGIN"),
        (
            "password authentication failed",
            "ALTER ROLE {role} PASSWORD 'another'",
            "ALTER ROLE {role} PASSWORD 'secret'",
        ),
        (
            "does not exist",
            "ALTER DATABASE {database} RENAME TO {database}_away",
            "ALTER DATABASE {database}_away RENAME TO {database}",
        ),
    ],
)
async def test_an_event_waits_until_the_administrator_has_mended_the_database(
    thing: Things, service: Things, administrator: Administrator, fault: str, spoil: str, mend: str
) -> None:
    consumer = consumer_of(service, thing.note)
    async with running(consumer):
        await send(thing, record_of(thing, "a", 0))
        await eventually(lambda: reached(thing, 1))
        await administrator.does(spoil)
        await send(thing, record_of(thing, "a", 1))
        await eventually(lambda: says(consumer, fault))
        await administrator.does(mend)
        await eventually(lambda: reached(thing, 2))
    assert await thing.effects() == [("a", 0), ("a", 1)]
    assert await letters(thing) == []


async def reached(thing: Things, offset: int) -> bool:
    """As the others ask, but the administrator has ended this test's sessions as well."""
    try:
        return await parking.reached(thing, offset)
    except Exception as error:
        if not is_passing(error):
            raise
        return False


async def says(consumer: Consumer, fault: str) -> bool:
    return fault in (consumer.pulse.problem or "")


async def returning_all(event: Event[Any], tx: Tx) -> None:
    """A handler whose plan is void once the table has another shape."""
    await tx.raw.fetch("SELECT * FROM effects WHERE key = $1", event.key)
    await tx.raw.execute("INSERT INTO effects (key, number) VALUES ($1, $2)", event.key, event.data.number)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE effects ADD COLUMN later text",
        "ALTER TABLE effects ALTER COLUMN number TYPE bigint",
        "ALTER TABLE effects DROP COLUMN position",
        "ALTER TABLE effects ALTER COLUMN number SET DEFAULT 7",
    ],
)
async def test_a_lone_event_survives_a_change_of_the_table_under_a_running_service(thing: Things, change: str) -> None:
    async with running(consumer_of(thing, returning_all)):
        await send(thing, record_of(thing, "a", 0))
        await eventually(lambda: reached(thing, 1))
        await thing.database.fetch(change)
        await send(thing, record_of(thing, "a", 1))
        await eventually(lambda: reached(thing, 2))
    assert await letters(thing) == []


class Muddling:
    """A handler that leaves the session of its first event in a state that later ones cannot work in."""

    def __init__(self, thing: Things, statement: str) -> None:
        self.thing = thing
        self.statement = statement

    async def __call__(self, event: Event[Any], tx: Tx) -> None:
        await self.thing.note(event, tx)
        if event.data.number == 0:
            await tx.raw.execute(self.statement)


@pytest.mark.parametrize(
    "statement", ["SET search_path TO nowhere", "DEALLOCATE ALL", "SET default_transaction_read_only = on"]
)
async def test_a_lone_event_is_tried_on_a_new_connection_before_it_is_parked(
    thing: Things, service: Things, statement: str
) -> None:
    async with running(consumer_of(service, Muddling(thing, statement))):
        await send(thing, record_of(thing, "a", 0))
        await eventually(lambda: reached(thing, 1))
        await send(thing, record_of(thing, "a", 1))
        await eventually(lambda: reached(thing, 2))
    assert await letters(thing) == []
    assert await thing.effects("a") == [("a", 0), ("a", 1)]


async def calling_wrongly(event: Event[Any], tx: Tx) -> None:
    if event.key == "wrong":
        await tx.raw.execute("SELECT $1::int", 1, 2)


async def calling_twice_at_once(event: Event[Any], tx: Tx) -> None:
    if event.key == "wrong":
        await asyncio.gather(tx.raw.execute("SELECT 1"), tx.raw.execute("SELECT 2"))


async def beginning_twice(event: Event[Any], tx: Tx) -> None:
    if event.key == "wrong":
        transaction = tx.raw.transaction()
        await transaction.start()
        await transaction.start()


@pytest.mark.parametrize("handler", [calling_wrongly, calling_twice_at_once, beginning_twice])
async def test_a_wrong_call_of_the_driver_parks_its_event_and_holds_up_no_other(
    thing: Things, handler: Handler
) -> None:
    async with running(consumer_of(thing, handler)):
        await send(thing, record_of(thing, "wrong", 0), record_of(thing, "right", 1))
        await eventually(lambda: reached(thing, 2))
    ((key, offset, error),) = await letters(thing)
    assert (key, offset) == ("wrong", 0)
    assert "InterfaceError" in (error or "")


async def taking_long(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Takes a tenth of a second for each event in one statement, as an update of many rows would."""
    await tx.raw.execute("SELECT pg_sleep(0.1 * $1::int)", len(events))
    rows = [(event.key, event.data.number) for event in events]
    await tx.raw.executemany("INSERT INTO effects (key, number) VALUES ($1, $2)", rows)


@pytest.mark.parametrize("limit", ["statement_timeout", "transaction_timeout"])
async def test_a_batch_that_always_takes_too_long_is_done_in_smaller_ones(
    thing: Things, service: Things, administrator: Administrator, limit: str
) -> None:
    await administrator.does(f"ALTER ROLE {{role}} SET {limit} = '550ms'")
    await send(thing, *(record_of(thing, f"key-{number}", number) for number in range(16)))
    async with running(consumer_of(service, BatchHandler(taking_long))):
        await eventually(lambda: reached(thing, 16))
    assert [number for _, number in await thing.effects()] == list(range(16))
    assert await letters(thing) == []


async def test_a_lone_event_that_always_takes_too_long_is_told_of_and_never_skipped(
    thing: Things, service: Things, administrator: Administrator
) -> None:
    await administrator.does("ALTER ROLE {role} SET statement_timeout = '50ms'")
    await send(thing, record_of(thing, "a", 0), record_of(thing, "b", 1))
    consumer = consumer_of(service, BatchHandler(taking_long))
    async with running(consumer):
        await eventually(lambda: says(consumer, "statement timeout"))
        assert await thing.effects() == []
        await administrator.does("ALTER ROLE {role} RESET statement_timeout")
        await eventually(lambda: reached(thing, 2))
    assert await thing.effects() == [("a", 0), ("b", 1)]
    assert await letters(thing) == []


async def test_events_beside_a_locked_row_go_on_and_the_one_of_the_row_waits(thing: Things, service: Things) -> None:
    async def locking(events: Sequence[Event[Any]], tx: Tx) -> None:
        keys = [event.key for event in events]
        await tx.raw.execute("SELECT FROM effects WHERE key = ANY($1) ORDER BY key FOR UPDATE", keys)
        await tx.raw.executemany(
            "INSERT INTO effects (key, number) VALUES ($1, $2)", [(event.key, event.data.number) for event in events]
        )

    await thing.database.fetch("INSERT INTO effects (key, number) VALUES ('locked', -1)")
    await send(thing, *(record_of(thing, key, 0) for key in ("a", "locked", "b")))
    async with running(consumer_of(service, BatchHandler(locking))):
        async with thing.database.transaction() as somebody:
            await somebody.raw.execute("SELECT FROM effects WHERE key = 'locked' FOR UPDATE")
            await eventually(lambda: reached(thing, 1))
        await eventually(lambda: reached(thing, 3))
    assert [key for key, _ in await thing.effects()] == ["locked", "a", "locked", "b"]
    assert await letters(thing) == []
