"""What an operator has paused waits in all processes, also after a restart, and goes on in order when resumed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from typer.testing import CliRunner

from backbone.application import create_application
from backbone.consuming.consumer import Consumer
from backbone.consuming.heeding import Heeding
from backbone.consuming.lag import LagWatch
from backbone.context import Context
from backbone.jobs.work import Job, Work
from backbone.jobs.worker import Worker
from backbone.observing import metrics
from backbone.running.retry import FOR_EVER
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage import backlog, gauges
from backbone.storage.bell import Bell
from backbone.storage.database import Database
from cli.__main__ import app
from services.payments.service import SERVICE as PAYMENTS
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.standing_in import standing_in
from tests.integration.test_parking import Faulty, consumed, letters, reached, record_of, send
from tests.integration.things import Things, client_of, running
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

ANN = by("ann")
KIND = "bake"
HOURS = timedelta(hours=1)


async def pause(client: httpx.AsyncClient, what: str, name: str) -> str:
    """Pause something; returns where it is resumed."""
    answer = await client.post("/pauses", json={"what": what, "name": name, "reason": "look first"}, headers=ANN)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def resume(client: httpx.AsyncClient, where: str) -> None:
    answer = await client.delete(where, headers=by("bob"))
    assert answer.status_code == 200, answer.text


@asynccontextmanager
async def process(thing: Things) -> AsyncIterator[tuple[Database, Bell]]:
    """The connections of a process of its own, and what tells and hears of others."""
    database = Database(thing.database._url, thing.name)
    try:
        yield database, Bell(database)
    finally:
        await database.close()


@asynccontextmanager
async def replica(thing: Things) -> AsyncIterator[Consumer]:
    """A process that reads, of several."""
    async with process(thing) as (database, bell):
        consumer = Consumer(thing.name, thing.service(thing.note).handlers, database, thing.kafka, stuck_after=2)
        async with running(bell, consumer):
            yield consumer


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The looks at the lag, which are many a second: whether each was one of a paused consumer."""
    seen: list[bool] = []
    look = LagWatch.look

    async def counted(self: LagWatch, *given: Any, is_paused: bool) -> Any:
        seen.append(is_paused)
        return await look(self, *given, is_paused=is_paused)

    monkeypatch.setattr(LagWatch, "EVERY", timedelta(seconds=0.2))
    monkeypatch.setattr(LagWatch, "look", counted)
    return seen


async def test_a_paused_consumer_stays_in_its_group_and_reads_nothing_in_any_replica_also_after_a_restart(
    thing: Things, looks: list[bool], sessions: list[object]
) -> None:
    keys = [f"key-{number}" for number in range(12)]
    async with AsyncExitStack() as first, replica(thing) as second, client_of(thing, thing.note) as client:
        both = [await first.enter_async_context(replica(thing)), second]
        await handled(thing, [(key, 0) for key in keys])
        where = await pause(client, "consumer", thing.name)
        await eventually(lambda: all(each._pause.is_paused for each in both))
        await send(thing, *(record_of(thing, key, 1) for key in keys))
        looks.clear()
        await eventually(lambda: looks.count(True) > 40)  # longer than a client may bring nothing
        assert [each.pulse.problem for each in both] == [None, None]
        await first.aclose()
        async with replica(thing) as restarted:
            await eventually(lambda: restarted._pause.is_paused and second._pause.is_paused)
            await eventually(lambda: restarted.pulse.problem is None)
            assert await thing.effects() == await begun(thing)
            assert len(sessions) == 3
            await resume(client, where)
            await eventually(lambda: has_effects(thing, 24))
    assert sorted(await thing.effects()) == sorted((key, number) for key in keys for number in (0, 1))


async def test_no_batch_is_begun_after_a_pause_though_nobody_has_heard_of_it(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hear_nothing(_: Heeding) -> None:
        return None

    monkeypatch.setattr(Heeding, "learn", hear_nothing)
    async with replica(thing) as consumer, client_of(thing, thing.note) as client:
        await handled(thing, [("a", 0)])
        await pause(client, "consumer", thing.name)
        await send(thing, record_of(thing, "a", 1))
        await eventually(lambda: consumer._pause.is_paused)
    assert await thing.effects() == [("a", 0)]


async def begun(thing: Things) -> list[tuple[str, int]]:
    return [each for each in await thing.effects() if each[1] == 0]


async def handled(thing: Things, effects: list[tuple[str, int]]) -> None:
    await send(thing, *(record_of(thing, *each) for each in effects))
    await eventually(lambda: has_effects(thing, len(effects)))


async def has_effects(thing: Things, count: int) -> bool:
    return len(await thing.effects()) == count


async def test_a_paused_key_waits_in_order_is_told_apart_from_a_parked_one_and_no_redrive_handles_it(
    thing: Things,
) -> None:
    faulty = Faulty(thing, 9)
    async with consumed(thing, faulty, record_of(thing, "b", 9)), client_of(thing, faulty) as client:
        where = await pause(client, "key", "a")
        await send(thing, *(record_of(thing, key, number) for number in range(3) for key in ("a", "c")))
        await eventually(lambda: reached(thing, 7))
        assert await thing.effects() == [("c", 0), ("c", 1), ("c", 2)]
        assert [error for key, _, error in await letters(thing) if key == "a"] == [None, None, None]
        now = await backlog.look(thing.database)
        assert (now.parked.events, now.parked.keys, now.parked.error) == (1, 1, "Refused: not this one")
        [said, parked] = backlog.needs(now)
        assert said.startswith("key a paused since 20")
        assert said.endswith(" by ann, 3 events behind it: look first")
        assert gauge(now, "sliceline_pauses") == "1.0"
        assert parked.startswith("1 event of 1 key parked")
        for key in ("a", None):
            assert (await client.post("/dead-letters/redrive", json={"key": key})).json() == {"handled": 0}
        await resume(client, where)
        await send(thing, record_of(thing, "a", 3))
        await eventually(lambda: reached(thing, 8))
    assert await thing.effects("a") == [("a", number) for number in range(4)]
    assert [key for key, _, _ in await letters(thing)] == ["b"]
    assert [row["key"] for row in await thing.database.fetch("SELECT key FROM parked_keys")] == ["b"]


def gauge(now: backlog.Backlog, name: str) -> str:
    """What a scrape tells under a name."""
    lines = metrics.exposed("", gauges.Gauges(now, [KIND]))[0].decode().splitlines()
    return next(line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} "))


async def test_a_key_that_was_parked_before_it_was_paused_is_tried_again_when_it_is_resumed(thing: Things) -> None:
    faulty = Faulty(thing, 0)
    async with (
        consumed(thing, faulty, record_of(thing, "a", 0), record_of(thing, "a", 1)),
        client_of(thing, faulty) as client,
    ):
        where = await pause(client, "key", "a")
        assert backlog.needs(await backlog.look(thing.database))[1:] == []
        await resume(client, where)
        assert [error for _, _, error in await letters(thing)] == ["Refused: not this one", None]
        where = await pause(client, "key", "a")
        faulty.refused.clear()
        await resume(client, where)
    assert await thing.effects() == [("a", 0), ("a", 1)]


async def test_a_paused_key_stays_closed_when_its_only_letter_is_discarded(thing: Things) -> None:
    faulty = Faulty(thing, 0)
    async with consumed(thing, faulty, record_of(thing, "a", 0)), client_of(thing, faulty) as client:
        where = await pause(client, "key", "a")
        [letter] = (await client.get("/dead-letters")).json()["items"]
        answer = await client.post(f"/dead-letters/{letter['id']}/discard", json={"reason": "garbage"})
        assert answer.status_code == 200, answer.text
        await send(thing, record_of(thing, "a", 1))
        await eventually(lambda: reached(thing, 2))
        assert await thing.effects() == []
        await resume(client, where)
    assert await thing.effects() == [("a", 1)]


async def test_nothing_slips_between_a_resumption_and_the_consumer(thing: Things) -> None:
    async with (
        consumed(thing, thing.note, record_of(thing, "a", 0)),
        client_of(thing, thing.note) as client,
    ):
        sending = asyncio.create_task(send(thing, *(record_of(thing, "a", number) for number in range(1, 80))))
        while not sending.done():
            await resume(client, await pause(client, "key", "a"))
        await eventually(lambda: reached(thing, 80))
        await resume(client, await pause(client, "key", "a"))
    assert await thing.effects() == [("a", number) for number in range(80)]
    assert await letters(thing) == []


def worker(database: Database, done: list[str]) -> Worker:
    """A worker that sleeps for hours, unless it is told of something."""

    async def bake(job: Job, _: Context[Any]) -> None:
        done.append(job.key)

    async def nothing(*_: object) -> None:
        return None

    context = Context(Settings(database_url="postgresql://unused"), database)
    return Worker(KIND, Work(run=bake, settle=nothing, retry=FOR_EVER), context)


async def test_paused_jobs_are_not_claimed_in_any_replica_and_go_on_at_once_when_they_are_resumed(
    thing: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backbone.jobs.worker.SLEEP", HOURS)
    done: list[str] = []
    async with (
        process(thing) as (here, bell),
        process(thing) as (there, other),
        process(thing) as (api, third),  # it has no worker, and tells those of the others
        baking(api) as client,
    ):
        await pause_and_schedule(client, api)
        async with running(bell, other, third, worker(here, done), worker(there, done)):
            await eventually(lambda: all(each.wakeups.is_listening for each in (here, there, api)))
            await eventually(lambda: are_asleep(here, there))
            assert backlog.needs(await backlog.look(api))[0].startswith("bake jobs paused since 20")
            assert done == []
            [paused] = (await client.get("/pauses")).json()["items"]
            await resume(client, f"/pauses/{paused['id']}")
            await eventually(lambda: sorted(done) == ["a", "b"], 20)


@asynccontextmanager
async def baking(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The API of a service that has such jobs."""
    work = worker(database, [])._work
    service = Service("bakery", Settings, router=APIRouter(), jobs={KIND: work})
    context = Context(Settings(database_url="postgresql://unused"), database)
    transport = httpx.ASGITransport(create_application(service, context))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client:
        yield client


async def pause_and_schedule(client: httpx.AsyncClient, database: Database) -> None:
    await pause(client, "job", KIND)
    async with database.transaction() as tx:
        for key in ("a", "b"):
            tx.schedule(KIND, key)


def are_asleep(*databases: Database) -> bool:
    """Whether no worker has anything to look for."""
    return not any(each.wakeups.jobs(KIND).is_set() for each in databases)


async def test_what_is_not_there_or_paused_already_is_refused_and_each_act_is_kept(thing: Things) -> None:
    async with client_of(thing, thing.note) as client:
        for what in ("consumer", "job"):
            answer = await client.post("/pauses", json={"what": what, "name": "nobody", "reason": "r"})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name"), answer.text
        in_two_lines = await client.post("/pauses", json={"what": "key", "name": "a\nb", "reason": "r"})
        assert (in_two_lines.status_code, in_two_lines.json()["errors"][0]["field"]) == (422, "name")
        where = await pause(client, "key", "a")
        again = await client.post("/pauses", json={"what": "key", "name": "a", "reason": "r"})
        assert (again.status_code, again.json()["title"]) == (409, "Already paused")
        assert again.json()["detail"].endswith("by ann.")
        await resume(client, where)
        assert (await client.delete(where)).status_code == 404
        assert (await client.get("/pauses")).json()["items"] == []
        [kept] = (await client.get("/pauses", params={"ended": "true"})).json()["items"]
        assert (kept["paused_by"], kept["reason"], kept["resumed_by"]) == ("ann", "look first", "bob")
        assert kept["paused_at"] <= kept["resumed_at"]


async def test_the_command_line_pauses_shows_and_resumes(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    url = await asyncio.to_thread(new_database, "payments")

    def say(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.output

    def story() -> None:
        with serving(PAYMENTS, url) as address, standing_in(tmp_path, "payments", address):
            for option in ([], ["--key", "order-1"], ["--jobs", "charge"]):
                assert say("resume", "payments", *option)[0] == 1
                code, said = say("pause", "payments", *option, "--reason", "a look")
                assert (code, f"./sliceline resume {' '.join(['payments', *option])}" in said) == (0, True), said
            shown = say("status")[1]
            for what in ("the consumer", "key order-1", "charge jobs"):
                assert f"payments: {what} paused since 20" in shown
            for option in ([], ["--key", "order-1"], ["--jobs", "charge"]):
                assert say("resume", "payments", *option)[0] == 0
            assert "paused" not in say("status")[1]

    await asyncio.to_thread(story)
