"""The balance sheet on real databases: what is planted is caught, and whatever else may come balances."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from htpy import fragment
from typer.testing import CliRunner

from backbone.consuming.redrive import redrive
from backbone.context import Context
from backbone.jobs.work import Done, Job
from cli.__main__ import app
from services.console.asking import Ask, Services
from services.console.pages import accepting
from services.console.session import ANYBODY
from services.console.shell import Page
from services.ledger.balance import decisions, jobs, store
from services.ledger.balance.jobs import BALANCE
from services.ledger.service import SERVICE as LEDGER
from services.ledger.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_log import (
    COMPLETED,
    LISTENER,
    LISTENS,
    PLACED,
    V1,
    V2,
    WRONG,
    OneLog,
    Reader,
    confirmed,
    happened,
)
from tests.integration.one_service import Fed, fed, serving
from tests.issuing import SOMEBODY, by

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


class World:
    """A log, the ledger that keeps it, and a service that listens to it."""

    def __init__(self, ledger: Fed, listener: Fed, urls: Mapping[str, str]) -> None:
        self.urls = urls
        self.log = OneLog("orders.events")
        self.ledger, self.listener = Reader(ledger, self.log), Reader(listener, self.log)
        self.database = listener.database

    def completed(self, *orders: str) -> None:
        self.log.append(*(happened(self.listener.service, COMPLETED, order) for order in orders))

    async def read(self) -> None:
        await self.ledger.read()
        await self.listener.read()

    async def pass_one_over(self) -> None:
        """Have the listener pass one of two events over."""
        self.completed("a", "b")
        await self.ledger.read()
        await self.listener.take(at=0)
        await self.database.fetch("UPDATE consumer_offsets SET next_offset = 1")
        await self.listener.read()

    async def lose_one(self) -> None:
        """Have the listener pass one of two events over, and the alarm of it raised."""
        await self.pass_one_over()
        await self.settle()
        await self.settle()

    async def look(self) -> jobs.Look:
        answer = (await self.listener.service.client.get("/handled")).json()
        told = decisions.read_told(answer)
        assert told is not None
        database = self.ledger.service.database
        return await jobs.compare(database, told, (), database.now())

    async def entries(self) -> dict[str, dict[str, int]]:
        """The sheet, which has to balance, by type: without what is zero."""
        (sheet,) = (await self.look()).sheets
        assert (sheet.differences, sheet.open) == ((), ())
        names = ("archived", "applied", "ignored", "parked", "held", "discarded", "in_flight", "copies")
        return {each.type: {name: n for name in names if (n := getattr(each, name))} for each in sheet.entries}

    async def differences(self) -> list[tuple[str, int, int]]:
        """Type, how many are missing, how many are there twice."""
        (sheet,) = (await self.look()).sheets
        return [(each.type, each.missing, each.twice) for each in sheet.differences]

    async def settle(self, found: jobs.Look | None = None) -> None:
        """Look, and write what was found, as the job does."""
        found = found or await self.look()
        async with self.ledger.service.database.transaction() as tx:
            job = Job(0, BALANCE, BALANCE, {}, 1, tx.now, tx.now, tx.cause, None)
            await jobs.settle([Done(job, found, tx.cause)], tx)

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        return await self.ledger.service.published("loyalty")


@pytest.fixture
async def world(new_database: NewDatabase) -> AsyncIterator[World]:
    WRONG.clear()
    urls = {name: await asyncio.to_thread(new_database, name) for name in ("ledger", "loyalty")}
    async with fed(LEDGER, urls.__getitem__) as ledger, fed(LISTENER, urls.__getitem__) as listener:
        yield World(ledger, listener, urls)


async def test_all_that_may_become_of_events_balances(world: World) -> None:
    WRONG.add("wrong")
    service = world.listener.service
    world.log.append(happened(service, PLACED, "a"), *confirmed(service, "a"))
    world.completed("a", "wrong", "wrong", "wrong")
    world.log.append(*world.log.records[:5] * 10)  # delivered again and again
    await world.ledger.read()
    await world.listener.read(up_to=6)
    assert (await world.entries())[COMPLETED] == {
        "archived": 4, "applied": 1, "parked": 1, "held": 1, "in_flight": 1
    }  # fmt: skip
    await world.read()
    assert await world.entries() == {
        PLACED: {"archived": 1, "ignored": 1, "copies": 10},
        V1: {"archived": 1, "applied": 1, "copies": 10},
        V2: {"archived": 1, "ignored": 1, "copies": 10},
        COMPLETED: {"archived": 4, "applied": 1, "parked": 1, "held": 2, "copies": 20},
    }
    await service.database.fetch("TRUNCATE inbox")  # as if all of it had been purged
    letters = (await service.client.get("/dead-letters")).json()["items"]
    await service.client.post(f"/dead-letters/{letters[0]['id']}/discard", json={"reason": "Not one."})
    WRONG.clear()
    await redrive(service.database, world.listener.name, LISTENS)
    assert (await world.entries())[COMPLETED] == {"archived": 4, "applied": 3, "discarded": 1, "copies": 20}
    await world.listener.service.database.fetch("DELETE FROM discarded_letters")
    assert await world.differences() == [(COMPLETED, 1, 0)]


async def test_reading_again_changes_nothing_on_either_side(world: World) -> None:
    service = world.listener.service
    world.log.append(happened(service, PLACED, "a"), *confirmed(service, "a"))
    world.completed("a", "b", "c")
    world.log.append(*world.log.records[:4])
    await world.read()
    before = await world.entries()
    await world.listener.reread()
    await world.ledger.reread()
    assert await world.entries() == before


async def test_an_event_that_is_skipped_is_missing_and_named(world: World) -> None:
    world.completed("a", "b")
    await world.read()
    await world.settle()  # up to here it balances
    world.completed("c", "d")
    await world.ledger.read()
    await world.database.fetch("UPDATE consumer_offsets SET next_offset = 3")
    await world.listener.read()
    found = await world.look()
    (difference,) = found.sheets[0].differences
    assert (difference.type, difference.missing, difference.twice) == (COMPLETED, 1, 0)
    ids = [dict(each.headers)["ce_id"].decode() for each in world.log.records]
    assert found.candidates["loyalty", difference.cell] == ids[2:]


async def test_an_event_that_has_its_effect_twice_is_told(world: World) -> None:
    world.completed("a")
    world.log.append(*world.log.records)
    await world.ledger.read()
    await world.listener.read(up_to=1)
    await world.database.fetch("TRUNCATE inbox")
    await world.listener.read()
    assert await world.differences() == [(COMPLETED, 0, 1)]


async def test_a_batch_that_is_handled_again_before_its_offset_is_moved_is_told(world: World) -> None:
    world.completed("a", "b")
    await world.read()
    await world.database.fetch("UPDATE consumer_offsets SET next_offset = 0")
    await world.listener.read()
    assert await world.differences() == [(COMPLETED, 0, 2)]


async def test_the_sheet_compares_only_from_where_a_consumer_began_once_it_is_counted_what_was_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.completed("a", "b", "c")
    world.log.append(world.log.records[0], world.log.records[2])
    await world.ledger.read()
    await world.listener.take(at=2)
    await world.listener.read()
    monkeypatch.setattr(store, "STRIDE", 1)
    with monkeypatch.context() as hurried:
        hurried.setattr(jobs, "SPELL", -1.0)
        (sheet,) = (await world.look()).sheets
        assert ([each.why for each in sheet.open], sheet.entries) == ([decisions.BEING_COUNTED], ())
    assert await world.entries() == {COMPLETED: {"archived": 2, "applied": 2, "copies": 1}}  # it first heard of a again
    await world.settle()
    await world.ledger.service.database.fetch("TRUNCATE inbox, copies, events")  # their day was dropped
    world.completed("d")
    await world.read()
    assert (await world.entries())[COMPLETED]["applied"] == 3


async def test_what_a_consumer_handled_before_the_archive_began_is_taken_as_given(world: World) -> None:
    world.completed("a", "b", "c")
    await world.listener.read()
    await world.ledger.take(at=2)
    await world.ledger.read()
    assert await world.differences() == []
    await world.settle()
    world.completed("d", "e")
    await world.ledger.read()
    await world.database.fetch("UPDATE consumer_offsets SET next_offset = 4")
    await world.listener.read()
    assert await world.differences() == [(COMPLETED, 1, 0)]


async def test_a_record_that_the_archive_cannot_take_either_balances(world: World) -> None:
    world.completed("a", "b")
    broken = [replace(each, value=b"no JSON") for each in world.log.records[1:]]
    world.log.records[1:] = broken
    await world.read()
    assert await world.entries() == {COMPLETED: {"archived": 2, "applied": 1, "parked": 1}}


async def test_only_a_difference_that_lasts_is_told_and_its_end_as_well(world: World) -> None:
    await world.pass_one_over()
    await world.settle()
    assert await world.told() == []
    await world.settle()
    ((event_type, said),) = await world.told()
    assert event_type == "sliceline.ledger.balance-broken.v1"
    ids = [dict(each.headers)["ce_id"].decode() for each in world.log.records]
    assert said == {
        "consumer": "loyalty",
        "differences": [{"type": COMPLETED, "missing": 1, "twice": 0, "candidates": ids}],
    }
    metrics = (await world.ledger.service.client.get("/metrics")).text
    assert 'sliceline_balance_difference{consumer="loyalty"} 1.0' in metrics
    await world.database.fetch("UPDATE handled_counts SET applied = applied + 1")
    await world.settle()
    assert [each for each, _ in await world.told()][1:] == ["sliceline.ledger.balance-restored.v1"]
    assert 'consumer="loyalty"} 0.0' in (await world.ledger.service.client.get("/metrics")).text


async def test_a_page_of_the_console_shows_a_difference_and_accepts_what_it_has_shown(world: World) -> None:
    await world.lose_one()
    with (
        serving(LISTENER, world.urls["loyalty"]) as listener,
        serving(LEDGER, world.urls["ledger"], services=f"loyalty={listener}") as ledger,
    ):
        async with httpx.AsyncClient(headers=by(SOMEBODY)) as http:

            def asking(**form: str) -> Ask:
                return Ask(ANYBODY, Services(http, {"ledger": ledger}), {"consumer": "loyalty"}, form=form)

            shown = await accepting.plan(asking())
            said = str(fragment[shown.body])
            assert f"1 missing of {COMPLETED}" in said
            typed = {**dict(HIDDEN.findall(said)), "reason": "Deleted by hand.", "confirm-accept-it": "loyalty"}
            for wrong in ({"confirm-accept-it": "orders"}, {"missing": "2"}, {"reason": " "}):
                refused = await accepting.accept(asking(**{**typed, **wrong}))
                assert isinstance(refused, Page)
                assert refused.status == 422
                assert "Nothing was accepted" in str(fragment[refused.body])
            assert await accepting.accept(asking(**typed)) == "/operations"
            after = str(fragment[(await accepting.plan(asking())).body])
            assert "There is nothing to accept: loyalty adds up." in after
    assert (await world.told())[-1][0] == "sliceline.ledger.balance-accepted.v1"


async def test_the_command_shows_a_difference_and_accepts_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.lose_one()
    with (
        serving(LISTENER, world.urls["loyalty"]) as listener,
        serving(LEDGER, world.urls["ledger"], services=f"loyalty={listener},orders=http://127.0.0.1:9") as ledger,
    ):
        monkeypatch.setattr("cli.balance.address_of", lambda _: ledger)

        async def run(*arguments: str) -> tuple[int, str]:
            result = await asyncio.to_thread(CliRunner().invoke, app, ["balance", *arguments])
            return result.exit_code, result.output

        code, said = await run()
        assert (code, f"loyalty: 1 missing of {COMPLETED}" in said, "may be" in said) == (1, True, True)
        assert "ledger has no sheet" in said
        assert (await run("accept", "loyalty"))[0] == 2
        reason = ("--reason", "Deleted by hand.", "--yes")
        assert (await run("accept", "loyalty", "--type", PLACED, *reason))[0] == 1
        not_as_many = {"consumer": "loyalty", "missing": 2, "reason": "Deleted."}
        refused = await world.ledger.service.client.post("/balance/acceptances", json=not_as_many)
        assert (refused.status_code, "1 were missing" in refused.json()["detail"]) == (409, True)
        unknown = await world.ledger.service.client.post("/balance/acceptances", json={**not_as_many, "consumer": "x"})
        assert unknown.status_code == 404
        assert (await run("accept", "loyalty", *reason))[0] == 0
        code, said = await run("show", "loyalty")
        assert (code, f"1 missing of {COMPLETED}" in said, "Deleted by hand." in said) == (0, True, True)
        code, said = await run()
        assert (code, "cannot be said: orders does not answer" in said) == (1, True)
    assert (await world.told())[-1][0] == "sliceline.ledger.balance-accepted.v1"
    await world.settle()
    assert len(await world.told()) == 2
    metrics = (await world.ledger.service.client.get("/metrics")).text
    assert 'sliceline_balance_difference{consumer="loyalty"} 0.0' in metrics


async def test_the_job_asks_every_service_and_tells_how_long_one_is_silent(
    world: World, new_database: NewDatabase
) -> None:
    url = await asyncio.to_thread(new_database, "loyalty")
    with serving(LISTENER, url) as address:
        settings = Settings(database_url="postgresql://unused", services=f"loyalty={address},orders=http://127.0.0.1:9")
        context = Context(settings, world.ledger.service.database)
        found = await jobs.look(context)
        for client in context.clients.values():
            await client.aclose()
    assert found.silent == ("orders",)
    assert found.sheets == ()
    database = world.ledger.service.database
    await world.settle(found)
    await database.fetch("UPDATE silences SET since = since - interval '1 hour'")
    await world.settle(found)
    assert [3600 <= each < 3700 for each in (await jobs.silences(database)).values()] == [True]
    metrics = (await world.ledger.service.client.get("/metrics")).text
    assert 'sliceline_balance_silent_seconds{service="orders"} 36' in metrics
    await world.settle()
    assert await jobs.silences(database) == {}


async def test_the_first_look_is_a_job_from_the_beginning(world: World) -> None:
    assert await world.ledger.service.database.fetch("SELECT FROM jobs WHERE kind = $1 AND due <= now()", BALANCE)
