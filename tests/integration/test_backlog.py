"""What waits is told from the tables: by /backlog, by the gauges and by `./sliceline status`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from backbone.application import create_application
from backbone.context import Context
from backbone.ids import new_id
from backbone.storage.backlog import MOST
from backbone.storage.database import Database
from backbone.values.brokers import Brokers
from cli.__main__ import app
from services.payments.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import fed, serving
from tests.integration.service_process import NOWHERE, process_of
from tests.integration.standing_in import standing_in
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

UNSURE = "ProviderUnsure: The payment provider did not say what happened."
PLACED = "sliceline.orders.order-placed.v1"
NOW, JUST_NOW, LONG_AGO = timedelta(0), timedelta(seconds=-20), timedelta(minutes=-5)

PARK = """
WITH letters AS (SELECT of, 'key-' || of % $2::int AS key FROM generate_series(1, $1::int) AS of),
     closed AS (INSERT INTO parked_keys (consumer, topic, key) SELECT DISTINCT 'payments', 'orders.events', key
                FROM letters)
INSERT INTO dead_letters (consumer, topic, partition, "offset", key, error, headers)
SELECT 'payments', 'orders.events', 0, of, key, CASE WHEN of <= $2 THEN 'stumbled over ' || of END, '[]' FROM letters
"""
SCHEDULE = """
INSERT INTO jobs (kind, key, data, due, lease, first_attempt_at, error, parked_at, correlationid)
SELECT $1, gen_random_uuid(), '{}', now() + $3, CASE WHEN $4 THEN gen_random_uuid() END, now() + $5, $6, now() + $7, 'c'
FROM generate_series(1, $2::int)
"""
PUBLISH = """
INSERT INTO outbox (id, aggregatetype, aggregateid, type, source, subject, time, dataschema, correlationid,
                    occurrenceid, sequence, payload)
SELECT of, 'payments', of, 't', 's', of, now() + $2, 'd', 'c', of, 1, '{}' FROM generate_series(1, $1::int) AS of
"""


class Tables:
    """What a test puts into the tables of one service, and the ways to ask for it."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database

    async def jobs(
        self,
        kind: str,
        count: int,
        *,
        due: timedelta = JUST_NOW,
        in_hand: bool = False,
        failing: timedelta | None = None,
        parked: timedelta | None = None,
    ) -> None:
        error = UNSURE if failing or parked else None
        await self.database.fetch(SCHEDULE, kind, count, due, in_hand, failing, error, parked)

    async def backlog(self) -> dict[str, Any]:
        """What a process that has just begun answers."""
        async with client_of(self.url) as client:
            answer = await client.get("/backlog")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def gauges(self) -> dict[str, float]:
        """The gauges of a process that has just begun."""
        async with client_of(self.url) as client:
            lines = (await client.get("/metrics")).text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[httpx.AsyncClient]:
    context: Context[Any] = Context(SERVICE.settings(database_url=url), Database(url, "payments", size=2))
    transport = httpx.ASGITransport(create_application(SERVICE, context))
    async with httpx.AsyncClient(transport=transport, base_url="http://payments", headers=by(SOMEBODY)) as client:
        yield client
    await context.close()


@pytest.fixture
async def tables(new_database: NewDatabase) -> AsyncIterator[Tables]:
    url = await asyncio.to_thread(new_database, "payments")
    database = Database(url, "payments", size=2)
    yield Tables(url, database)
    await database.close()


def status_of(url: str, home: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[int, str]:
    """Exit code and output of `./sliceline status` beside this one service."""
    monkeypatch.setattr("cli.running.HOME", home)
    with serving(SERVICE, url) as address, standing_in(home, "payments", address):
        done = CliRunner().invoke(app, ["status", *options])
    return done.exit_code, done.stdout


async def test_an_empty_backlog_needs_nobody(tables: Tables) -> None:
    backlog = await tables.backlog()
    assert (backlog["outbox"]["waiting"], backlog["parked"]["events"], backlog["jobs"]) == (0, 0, [])
    assert backlog["needs"] == []


async def test_a_kind_without_jobs_has_gauges_at_zero(tables: Tables) -> None:
    gauges = await tables.gauges()
    assert gauges['sliceline_jobs_due{kind="charge"}'] == gauges['sliceline_jobs_parked{kind="void"}'] == 0
    assert (gauges["sliceline_backlog_read"], gauges["sliceline_backlog_needs"]) == (1, 0)


async def test_what_is_parked_is_counted_beyond_a_page_and_a_restart_forgets_none_of_it(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tables.database.fetch(PARK, 450, 3)
    await tables.jobs("charge", 250, parked=LONG_AGO)
    gauges = await tables.gauges()
    assert (gauges["sliceline_dead_letters"], gauges["sliceline_parked_keys"]) == (450, 3)
    assert gauges['sliceline_jobs_parked{kind="charge"}'] == 250
    code, shown = await asyncio.to_thread(status_of, tables.url, tmp_path, monkeypatch, "--json")
    assert (json.loads(shown)["processes"]["payments"]["parked"], code) == (700, 1)


async def test_parked_events_need_a_person_and_are_told_with_the_last_error(tables: Tables) -> None:
    await tables.database.fetch(PARK, 40, 2)
    [said] = (await tables.backlog())["needs"]
    assert said.startswith("40 events of 2 keys parked, the first since 20")
    assert said.endswith("; the last error: stumbled over 2")


async def test_events_left_behind_a_letter_that_is_gone_are_said_to_wait_for_a_redrive(tables: Tables) -> None:
    await tables.database.fetch(PARK, 40, 2)
    await tables.database.fetch("DELETE FROM dead_letters WHERE error IS NOT NULL")
    [said] = (await tables.backlog())["needs"]
    assert said.startswith("38 events of 2 keys parked")
    assert said.endswith("; none has failed, so redrive them")


async def test_orders_that_wait_for_their_turn_at_rush_hour_need_nobody(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tables.jobs("charge", 300, due=LONG_AGO)
    await tables.jobs("charge", 32, due=timedelta(seconds=50), in_hand=True)
    [charging] = (await tables.backlog())["jobs"]
    assert (charging["due"], charging["in_hand"], charging["failing"]) == (300, 32, 0)
    code, shown = await asyncio.to_thread(status_of, tables.url, tmp_path, monkeypatch)
    assert "payments: 300 charge due since " in shown
    assert ("needs a person" in shown, code) == (False, 0)


async def test_jobs_in_hand_are_seen_behind_any_number_that_are_due_before_their_leases_end(tables: Tables) -> None:
    await tables.jobs("delay", 3, due=LONG_AGO)
    await tables.jobs("delay", 1500, due=timedelta(seconds=30))
    await tables.jobs("delay", 4, due=timedelta(seconds=50), in_hand=True)
    backlog = await tables.backlog()
    assert [(each["due"], each["in_hand"]) for each in backlog["jobs"]] == [(3, 4)]
    assert backlog["needs"] == []


async def test_a_provider_that_fails_needs_a_person_and_status_says_what_waits_since_when_and_why(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tables.jobs("charge", 300, due=LONG_AGO)
    await tables.jobs("charge", 12, due=timedelta(seconds=50), in_hand=True, failing=LONG_AGO)
    gauges = await tables.gauges()
    assert gauges["sliceline_backlog_needs"] == 1
    assert gauges['sliceline_jobs_due{kind="charge"}'] == 300
    assert gauges['sliceline_jobs_failing{kind="charge"}'] == 12
    assert gauges['sliceline_jobs_failing_oldest_seconds{kind="charge"}'] == pytest.approx(300, abs=60)
    assert gauges['sliceline_jobs_due_oldest_seconds{kind="charge"}'] == pytest.approx(300, abs=60)
    code, shown = await asyncio.to_thread(status_of, tables.url, tmp_path, monkeypatch)
    assert "payments: 12 charge jobs failing, the first since 20" in shown
    assert f"300 due; the last error: {UNSURE}" in shown
    assert code == 1


async def test_a_job_that_failed_a_moment_ago_is_shown_and_needs_nobody_yet(tables: Tables) -> None:
    await tables.jobs("charge", 1, due=timedelta(seconds=2), failing=JUST_NOW)
    backlog = await tables.backlog()
    assert [(each["failing"], each["failing_error"]) for each in backlog["jobs"]] == [(1, UNSURE)]
    assert backlog["needs"] == []


@pytest.mark.parametrize("kind", ["charge", "a kind that no code does any more"])
async def test_due_jobs_that_nobody_does_need_a_person(tables: Tables, kind: str) -> None:
    await tables.jobs(kind, 3, due=LONG_AGO)
    [said] = (await tables.backlog())["needs"]
    assert said.startswith(f"3 {kind} jobs due since 20")
    assert said.endswith(", and nobody does them")


async def test_jobs_that_are_due_later_need_nobody(tables: Tables) -> None:
    await tables.jobs("watch", 5, due=timedelta(minutes=5))
    backlog = await tables.backlog()
    assert [(each["kind"], each["due"]) for each in backlog["jobs"]] == [("watch", 0)]
    assert backlog["needs"] == []


@pytest.mark.parametrize(("age", "needed"), [(JUST_NOW, 0), (LONG_AGO, 1)])
async def test_an_outbox_that_is_not_emptied_needs_a_person_after_a_minute(
    tables: Tables, age: timedelta, needed: int
) -> None:
    await tables.database.fetch(PUBLISH, 7, age)
    backlog = await tables.backlog()
    assert backlog["outbox"]["waiting"] == 7
    assert [said[:22] for said in backlog["needs"]] == ["7 events not published"] * needed
    gauges = await tables.gauges()
    assert gauges["sliceline_outbox_events"] == 7
    assert gauges["sliceline_outbox_oldest_seconds"] == pytest.approx(-age.total_seconds(), abs=60)


async def test_a_backlog_of_any_size_is_counted_to_a_limit(tables: Tables) -> None:
    await tables.jobs("charge", MOST + 5, due=LONG_AGO)
    await tables.jobs("void", 1, due=LONG_AGO, in_hand=False)
    backlog = await tables.backlog()
    assert [(each["kind"], each["due"]) for each in backlog["jobs"]] == [("charge", MOST), ("void", 1)]
    assert backlog["needs"][0].startswith("10000 or more charge jobs due")


async def test_what_a_process_counts_is_to_be_had_without_its_database() -> None:
    async with client_of(f"postgresql://payments@{NOWHERE}/payments") as client:
        text = (await client.get("/metrics")).text
        assert (await client.get("/backlog")).status_code == 503
    assert "sliceline_backlog_read 0.0" in text
    assert "sliceline_handled_events" in text
    assert "sliceline_jobs_due" not in text


def test_a_backlog_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API that answers, with a database that does not, is unhealthy and says why; nothing of its backlog."""
    code, shown = status_of(f"postgresql://payments@{NOWHERE}/payments", tmp_path, monkeypatch)
    assert ("unhealthy" in shown, code) == (True, 1)
    assert "payments: database: " in shown.partition("Not ready:")[2]


@pytest.mark.long
async def test_readiness_is_about_the_process_and_the_backlog_about_its_work(
    tables: Tables, kafka: Brokers, tmp_path: Path
) -> None:
    """Payments with a provider that is away: ready, and its backlog tells of every charge that fails, and why."""
    orders = [new_id() for _ in range(5)]
    async with fed(SERVICE, lambda _: tables.url) as payments:
        await payments.feed(*((PLACED, placed(order)) for order in orders))
    settings = {"database_url": tables.url, "provider_url": f"http://{NOWHERE}", "provider_rate": "0"}
    async with process_of(
        "services.payments.service", tmp_path / "log", "--roles", "api,jobs", kafka=kafka, **settings
    ) as process:
        await process.until_waiting_for()
        await eventually(lambda: has_failing(process.client, len(orders)), 30)
        [charging] = (await process.client.get("/backlog")).json()["jobs"]
        assert charging["failing_error"].startswith("ProviderUnsure: ")
        assert await process.waiting_for() == {}


async def has_failing(client: httpx.AsyncClient, count: int) -> bool:
    jobs = (await client.get("/backlog")).json()["jobs"]
    return [each["failing"] for each in jobs] == [count]


def placed(order: str) -> dict[str, Any]:
    return {
        "order": order,
        "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
        "fulfilment": "collection",
        "address": None,
        "lines": [
            {"item": "mcguffin", "quantity": 1, "unit_price": {"amount": 500, "currency": "GBP"}, "baked": False},
        ],
        "total": {"amount": 500, "currency": "GBP"},
    }
