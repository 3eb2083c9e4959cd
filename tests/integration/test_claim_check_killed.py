"""A relay that is killed between the object store and the outbox's commit: its event is told, once, with its data."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from backbone.events.dataref import parse
from backbone.storage.database import Database
from backbone.values.brokers import Brokers
from tests.conftest import NewDatabase
from tests.faults.points import AFTER_PUT, BEFORE_OUTBOX_COMMIT
from tests.integration.service_process import ServiceProcess, process_of
from tests.journal import Journal
from tests.waiting import eventually

ITEM = "catering".ljust(64, "x")
ORDER = {
    "customer": {"id": "caterer", "name": "Cato", "email": "cato@example.com"},
    "currency": "GBP",
    "address": "1 Mill Lane",
    "lines": [{"item": ITEM, "quantity": 1}] * 500,
}

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("orders_topic")]


@pytest.mark.parametrize(("point", "times"), [(AFTER_PUT, 1), (BEFORE_OUTBOX_COMMIT, 2)])
async def test_an_event_whose_relay_dies_after_its_data_was_put_is_told_with_that_data(
    new_database: NewDatabase,
    kafka: Brokers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    times: int,
) -> None:
    monkeypatch.setenv("CHAOS_FOLDER", str(tmp_path))
    monkeypatch.setenv("CHAOS_NAME", "orders")
    store, armed = tmp_path / "objects", tmp_path / "orders.armed"
    store.mkdir()
    url = await asyncio.to_thread(new_database, "orders")
    async with _opened(url) as database:
        async with _orders(url, kafka, store, tmp_path) as first:
            price = {"amount": 900, "currency": "GBP"}
            item = {"item": ITEM, "name": "Catering", "unit_price": price, "baked": False}
            (await first.client.post("/menu", json=item)).raise_for_status()
            await eventually(lambda: _is_empty(database))  # what the menu tells
            armed.write_text(point)
            order = (await first.client.post("/orders", json=ORDER)).raise_for_status().json()["id"]
            await first.process.ended(30)
        [put] = store.rglob("*.json")
        assert not await _is_empty(database)
        async with _orders(url, kafka, store, tmp_path):
            await eventually(lambda: _is_empty(database), 30)
    journal = Journal(kafka)
    await journal.read()
    await journal.close()
    told = [each for some in journal.envelopes.values() for each in some if each.partitionkey == order]
    assert [each.occurrenceid for each in told] == [told[0].occurrenceid] * times
    assert {each.dataref for each in told} == {str(put.relative_to(store))}
    parse(told[0].dataref or "").check(put.read_bytes())
    assert orjson.loads(put.read_bytes())["order"] == order
    assert list(store.rglob("*.json")) == [put]


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, "orders")
    yield database
    await database.close()


@asynccontextmanager
async def _orders(url: str, kafka: Brokers, store: Path, logs: Path) -> AsyncIterator[ServiceProcess]:
    """Orders that takes in and relays, and dies where it is told to."""
    given: dict[str, str | Brokers] = {"database_url": url, "kafka": kafka, "objects": store.as_uri()}
    wrapped = process_of("tests.faults.wrapped", logs / "orders.log", "orders", "--roles", "api,relay", **given)
    async with wrapped as process:
        await process.until_waiting_for()
        yield process


async def _is_empty(database: Database) -> bool:
    return not await database.fetch("SELECT id FROM outbox LIMIT 1")
