"""`./sliceline redrive` and the count in `./sliceline status`, against a service that has parked something."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.ids import new_id
from cli.__main__ import app
from services.notifications.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import fed, serving
from tests.integration.standing_in import standing_in

CANCELLED = "sliceline.orders.order-cancelled.v1"
ADA = {"id": "ada", "name": "Ada", "email": "ada@example.com"}


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    """A database of notifications with a parked event and a job that was given up."""
    url = new_database("notifications")
    asyncio.run(_park(url))
    return url


async def _park(url: str) -> None:
    async with fed(SERVICE, lambda _: url) as service:
        record = service.record(CANCELLED, {"order": new_id(), "customer": ADA, "reason": "Changed my mind."})
        processor = BatchProcessor(SERVICE.name, SERVICE.handlers, service.database)
        batch = Batch([read(record, processor.views)], {(record.topic, 0): (0, 1)})
        await processor.park(batch, RuntimeError("the handler stumbled"))
        async with service.database.transaction() as tx:
            tx.schedule("send", "some-mail")
        async with service.database.transaction() as tx:
            await tx.raw.execute("UPDATE jobs SET parked_at = now(), error = 'given up'")


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
    with serving(SERVICE, url) as address, standing_in(tmp_path, "notifications", address):
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
        parked = httpx.get(f"{address}/dead-letters").json()["items"][0]
        given = ["discard", "notifications", "--reason", "sent by hand"]
        for which in ([], ["--key", parked["key"], "--letter", "1"]):
            assert CliRunner().invoke(app, [*given, *which]).exit_code == 2
        other = CliRunner().invoke(app, [*given, "--key", "another"])
        assert (other.exit_code, "no event of key another" in other.output) == (1, True)
        done = CliRunner().invoke(app, [*given, "--key", parked["key"]])
        assert done.exit_code == 0, done.output
        kept = httpx.get(f"{address}/dead-letters/discarded").json()["items"][0]
        assert (kept["id"], kept["reason"], kept["discarded_by"]) == (parked["id"], "sent by hand", "operator")
        again = CliRunner().invoke(app, [*given, "--letter", str(parked["id"])])
        assert (again.exit_code, "404" in again.output) == (1, True)
