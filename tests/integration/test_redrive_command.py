"""`redrive`, `dead-letters` and the count in `status`, against a service that has parked something."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from backbone.consuming import redriving
from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.redrive import KIND
from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from backbone.storage.database import Database
from cli.__main__ import app
from deployment.catalogue import sample_of
from services.ledger.service import SERVICE as LEDGER
from services.notifications.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, fed, serving
from tests.integration.standing_in import standing_in, standing_in_for
from tests.integration.things import running
from tests.issuing import SOMEBODY, by

CANCELLED, CONFIRMED = "sliceline.orders.order-cancelled.v1", "sliceline.orders.order-confirmed.v2"
ADA = {"id": "ada", "name": "Ada", "email": "ada@example.com"}


@pytest.fixture
def heard(new_database: NewDatabase) -> tuple[str, list[FakeRecord]]:
    """A database of notifications with a parked event and a job that was given up, and what it has heard."""
    url = new_database("notifications")
    return url, asyncio.run(_park(url))


@pytest.fixture
def url(heard: tuple[str, list[FakeRecord]]) -> str:
    return heard[0]


@pytest.fixture
def archive(heard: tuple[str, list[FakeRecord]], new_database: NewDatabase) -> str:
    """A database of the ledger with the same."""
    url = new_database("ledger")
    asyncio.run(_keep(url, heard[1]))
    return url


async def _keep(url: str, records: list[FakeRecord]) -> None:
    async with fed(LEDGER, lambda _: url) as ledger:
        await ledger.deliver(*records)


async def _park(url: str) -> list[FakeRecord]:
    async with fed(SERVICE, lambda _: url) as service:
        order = new_id()
        first = service.record(CONFIRMED, {**sample_of(CONFIRMED), "order": order, "customer": ADA})
        record = service.record(CANCELLED, {"order": order, "customer": ADA, "reason": "Changed my mind."})
        record = replace(record, offset=1)
        await service.deliver(first)
        processor = BatchProcessor(SERVICE.name, SERVICE.handlers, service.database)
        batch = Batch([read(record, processor.views)], {(record.topic, 0): (1, 2)})
        await processor.park(batch, RuntimeError("the handler stumbled"))
        async with service.database.transaction() as tx:
            await tx.raw.execute("DELETE FROM jobs")
            tx.schedule("send", "some-mail")
        async with service.database.transaction() as tx:
            await tx.raw.execute("UPDATE jobs SET parked_at = now(), error = 'given up'")
    return [first, record]


async def _left(url: str) -> tuple[int, int]:
    """How many dead letters and parked jobs there are."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        return (
            await connection.fetchval("SELECT count(*) FROM dead_letters"),
            await connection.fetchval("SELECT count(*) FROM jobs WHERE parked_at IS NOT NULL"),
        )
    finally:
        await connection.close()


def test_what_is_parked_is_counted_and_started_anew(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    with (
        serving(SERVICE, url) as address,
        standing_in(tmp_path, "notifications", address),
        redriving_for(url),
    ):
        status = CliRunner().invoke(app, ["status", "--json"])
        assert json.loads(status.stdout)["processes"]["notifications"]["parked"] == 2
        other = CliRunner().invoke(app, ["redrive", "notifications", "--key", "another"])
        assert "0 events handled, 0 jobs started anew" in other.output
        assert asyncio.run(_left(url)) == (1, 1)
        redriven = CliRunner().invoke(app, ["redrive", "notifications"])
        assert "1 event handled, 1 job started anew" in redriven.output
        assert redriven.exit_code == 0
        assert asyncio.run(_left(url)) == (0, 0)


def test_a_parked_event_is_given_up_by_its_key(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    with serving(SERVICE, url) as address, standing_in(tmp_path, "notifications", address):
        parked = httpx.get(f"{address}/dead-letters", headers=by(SOMEBODY)).json()["items"][0]
        test = tmp_path / "test_letter.py"
        wanted = ["dead-letters", "reproduce", "notifications", str(parked["id"]), "--to", str(test)]
        assert CliRunner().invoke(app, wanted).exit_code == 0
        assert "the service has no more, and no ledger told" in test.read_text()
        given = ["discard", "notifications", "--reason", "sent by hand"]
        for which in ([], ["--key", parked["key"], "--letter", "1"]):
            assert CliRunner().invoke(app, [*given, *which]).exit_code == 2
        other = CliRunner().invoke(app, [*given, "--key", "another"])
        assert (other.exit_code, "no event of key another" in other.output) == (1, True)
        done = CliRunner().invoke(app, [*given, "--key", parked["key"]])
        assert done.exit_code == 0, done.output
        kept = httpx.get(f"{address}/dead-letters/discarded", headers=by(SOMEBODY)).json()["items"][0]
        assert (kept["id"], kept["reason"], kept["discarded_by"]) == (parked["id"], "sent by hand", "somebody")
        again = CliRunner().invoke(app, [*given, "--letter", str(parked["id"])])
        assert (again.exit_code, "404" in again.output) == (1, True)


@contextmanager
def redriving_for(url: str) -> Iterator[None]:
    """The jobs of redrives are done in a thread of their own."""
    stop = threading.Event()

    async def work() -> None:
        context = Context(SERVICE.settings(database_url=url), Database(url, SERVICE.name))
        async with running(Worker(KIND, redriving.work(SERVICE.name, SERVICE.handlers), context)):
            await asyncio.to_thread(stop.wait)
        await context.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_dead_letter_is_looked_at_edited_reproduced_given_up_restored_and_redriven_by_command(
    url: str, archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.running.HOME", tmp_path)

    def said(action: str, *given: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["dead-letters", action, "notifications", *given])
        assert done.exit_code == code, done.output
        return done.output

    with (
        serving(SERVICE, url, edit_dead_letters=True) as address,
        serving(LEDGER, archive) as ledger,
        standing_in_for(tmp_path, {"notifications": address, "ledger": ledger}),
        ExitStack() as later,
    ):
        (letter,) = httpx.get(f"{address}/dead-letters", headers=by(SOMEBODY)).json()["items"]
        number, group = str(letter["id"]), letter["group"]

        plan = str(httpx.post(f"{address}/redrives", json={"all": True}, headers=by(SOMEBODY)).json()["id"])
        assert f"redrive {plan} was cancelled" in said("cancel", plan)
        assert httpx.get(f"{address}/redrives/{plan}", headers=by(SOMEBODY)).json()["state"] == "cancelled"
        assert "409" in said("cancel", plan, code=1)
        assert "its number comes after" in said("cancel", code=2)
        later.enter_context(redriving_for(url))

        data = tmp_path / "data.json"
        edit = ["edit", number, "--data", str(data), "--reason", "his mistake"]
        assert "cannot be read as JSON" in said(*edit, code=2)
        data.write_text(json.dumps({"order": letter["key"], "customer": ADA}))
        assert "reason" in said(*edit, code=1)
        data.write_text(json.dumps({"order": letter["key"], "customer": ADA, "reason": "It was late."}))
        difference = said(*edit)
        assert f"./sliceline dead-letters redrive notifications {number}" in difference
        assert "nothing was changed" in said(*edit)
        assert '-  "reason": "Changed my mind."' in difference
        assert '+  "reason": "It was late."' in difference
        assert "needs --reason" in said("edit", number, "--data", str(data), code=2)

        test = tmp_path / "test_letter.py"
        assert "cannot be written" in said("reproduce", number, "--to", str(tmp_path / "nope" / "x.py"), code=1)
        assert "Written, and not tried yet" in said("reproduce", number, "--to", str(test))
        text = test.read_text()
        assert "the handler stumbled" in text
        assert "the ledger's archive has" in text
        assert CONFIRMED in text.partition("BEFORE:")[2].partition("EVENT:")[0]
        assert ADA["email"] not in text
        assert "is there already" in said("reproduce", number, "--to", str(test), code=1)

        assert ADA["email"] not in said("list") + said("groups")
        assert group in said("groups")
        shown = said("show", number)
        assert ADA["email"] in shown
        assert f"by the ledger's archive\n  2026-11-01T18:30:00 {CONFIRMED} handled" in shown
        assert "Say which" in said("discard", "--reason", "garbage", code=2)
        assert "--group GROUP or --all." in said("redrive", "--yes", code=2)
        assert "404" in said("discard", "4242", "--reason", "garbage", code=1)
        assert "--rate takes a number" in said("redrive", number, "--yes", "--rate", "1e400", code=2)
        assert "1 discarded" in said("discard", "--group", group, "--reason", "garbage")
        assert "1 restored" in said("restore", number)
        dry = said("redrive", "--all", "--dry-run")
        assert "1 applied" in dry
        assert "notifications" in dry
        assert asyncio.run(_left(url)) == (1, 1)
        assert "is done: 1 applied" in said("redrive", number, "--yes")
        assert asyncio.run(_left(url)) == (0, 1)
        acts = httpx.get(f"{address}/acts", headers=by(SOMEBODY)).json()["items"]
        assert [(each["actor"], each["act"]) for each in reversed(acts)] == [
            ("somebody", "redrive"),
            ("somebody", "cancel-redrive"),
            ("somebody", "edit"),
            ("somebody", "discard"),
            ("somebody", "restore"),
            ("somebody", "redrive"),
        ]
