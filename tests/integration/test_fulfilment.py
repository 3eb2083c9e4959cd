"""The fulfilment partner of examples/, as the program that people run, on the topic that orders publishes to."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from backbone.ids import new_id
from backbone.publishing.relay import Relay
from backbone.storage.database import Database
from backbone.values.brokers import Brokers
from deployment.catalogue import sample_of
from local import HOME, state
from local.ports import HOST, free_port
from local.processes import identity_of
from local.program import Program, python
from services.orders.events import OrderConfirmed
from tests.conftest import NewDatabase
from tests.copies import copy_of_the_project, environment
from tests.integration.one_service import until_a_lock_is_awaited
from tests.integration.service_process import NOWHERE, ServiceProcess, process_of
from tests.integration.things import running
from tests.issuing import BELIEVED, SOMEBODY, by
from tests.processes import Process
from tests.waiting import eventually

pytestmark = pytest.mark.long

PARTNER = "examples.fulfilment"
SAMPLE = sample_of(OrderConfirmed.TYPE)
COUNT = "SELECT count(*) FROM labels WHERE order_id = ANY($1)"  # other tests confirm orders too


@pytest.fixture
async def orders(new_database: NewDatabase, kafka: Brokers, orders_topic: None) -> AsyncIterator[Database]:
    """What orders commits, and a relay that publishes it."""
    database = Database(await asyncio.to_thread(new_database, "orders"), "orders")
    async with running(Relay(database, kafka, poll=0.05)):
        yield database
    await database.close()


async def confirm(orders: Database, **changes: Any) -> str:
    """Have orders say that a new order is confirmed; returns its id."""
    order = new_id()
    async with orders.transaction() as tx:
        tx.publish(msgspec.convert({**SAMPLE, **changes, "order": order}, OrderConfirmed), key=order)
    return order


async def label_of(partner: ServiceProcess, order: str) -> str | None:
    answer = await partner.client.get(f"/labels/{order}")
    return answer.text if answer.status_code == 200 else None


async def test_the_partner_writes_one_label_for_an_order_though_it_is_killed_in_between(
    orders: Database, kafka: Brokers, empty_database: str, tmp_path: Path
) -> None:
    at = {"database_url": empty_database}
    watching = Database(empty_database, "watching")
    hands_on = await asyncpg.connect(empty_database)
    async with process_of(PARTNER, tmp_path / "killed.log", kafka=kafka, **at) as partner:
        await partner.until_waiting_for()
        fetched = await confirm(orders, fulfilment="collection", address=None)
        await hands_on.execute("BEGIN; LOCK TABLE labels IN SHARE MODE")
        order = await confirm(orders, address="1 Mill Lane")
        await until_a_lock_is_awaited(watching)  # the event is in hand, and nothing of it committed
        await partner.process.kill()
    await hands_on.execute("ROLLBACK")
    assert await hands_on.fetchval(COUNT, [order, fetched]) == 0
    async with process_of(PARTNER, tmp_path / "again.log", kafka=kafka, **at) as partner:
        await partner.until_waiting_for()
        label = await eventually(lambda: label_of(partner, order))
        assert label == "Ada Lovelace\n1 Mill Lane\n2 x margherita\n1 x lemonade\n"
        assert (await partner.client.get(f"/labels/{fetched}")).json()["title"] == "No such label"
        assert (await partner.client.get("/dead-letters")).json()["items"] == []
        assert await partner.stop() == 0
    assert await hands_on.fetchval(COUNT, [order, fetched]) == 1
    await hands_on.close()
    await watching.close()


async def test_one_command_runs_the_partner_with_a_postgres_of_its_own_beside_a_shop_that_asks_for_tokens(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLICELINE_ISSUER")
    tree = copy_of_the_project(tmp_path / "project", postgres)
    home = tree / HOME.name
    port = free_port()
    env = {**environment(tree), "SLICELINE_KAFKA": NOWHERE, "SLICELINE_HOST": HOST, "SLICELINE_PORT": str(port)}
    process = Process(Program(name="partner", command=python("-m", PARTNER), env=env, cwd=tree), tmp_path / "log")
    with state.hold(home):
        state.write(home, state.State(state.RUNNING, identity_of(os.getpid()), issuer=BELIEVED))
        process.launch()
        try:
            await eventually(lambda: _has_no_label(port))
        finally:
            assert await process.stop() == 0


async def _has_no_label(port: int) -> bool:
    try:
        async with httpx.AsyncClient(timeout=5, headers=by(SOMEBODY)) as client:
            return (await client.get(f"http://{HOST}:{port}/labels/none")).status_code == 404
    except httpx.TransportError:
        return False
