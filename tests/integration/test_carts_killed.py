"""Processes of carts that are killed, as they receive and as orders makes an order: nothing is missed or doubled."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from backbone.ids import new_id
from backbone.storage.database import Database
from tests.conftest import NewDatabase
from tests.integration import test_carts
from tests.integration.service_process import NOWHERE, ServiceProcess, process_of
from tests.integration.test_carts import ADA, TERMS
from tests.issuing import SOMEBODY, by
from tests.roads import Road
from tests.waiting import eventually

orders_database, orders_url = test_carts.orders_database, test_carts.orders_url  # fixtures
MODULE = "services.carts.service"


class Forgetful(Road):
    """A way to orders on which answers get lost, for as long as it is told so; what was asked has happened."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.loses = True
        self.lost = asyncio.Event()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._travellers |= {writer, back}
        pumping = asyncio.create_task(self._send(reader, back))
        while answer := await there.read(65536):
            if self.loses:
                self.lost.set()
            else:
                writer.write(answer)
        pumping.cancel()
        writer.transport.abort()

    async def _send(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            back.write(data)


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "carts")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(url, "carts")
    yield opened
    await opened.close()


async def orders_of(customer: str, orders_url: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=orders_url, headers=by(SOMEBODY)) as client:
        answer = await client.get("/orders", params={"customer": customer, "limit": 100})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return found


async def test_a_process_killed_before_it_hears_of_the_order_makes_no_second_one(
    url: str, database: Database, orders_url: str, tmp_path: Path
) -> None:
    cart, customer = new_id(), {**ADA, "id": new_id()}

    async def checkout(carts: ServiceProcess) -> dict[str, Any]:
        view: dict[str, Any] = (await carts.client.get(f"/carts/{cart}")).json()
        return dict(view["checkout"])

    async with Forgetful(orders_url.removeprefix("http://")) as road, AsyncExitStack() as stack:
        await road.open()
        first = await stack.enter_async_context(carts_process(url, road, tmp_path / "first.log"))
        await first.until_waiting_for()
        body = {"item": "cola", "quantity": 3, "customer": customer}
        for _ in range(2):
            (await first.client.post(f"/carts/{cart}/items", json=body)).raise_for_status()
        (await first.client.post(f"/carts/{cart}/checkout", json=TERMS)).raise_for_status()
        await asyncio.wait_for(road.lost.wait(), 30)
        assert (await checkout(first))["status"] == "placing"
        await first.process.kill()
        [order] = await orders_of(customer["id"], orders_url)
        road.loses = False
        await database.fetch("UPDATE jobs SET due = now()")  # instead of waiting for the end of the lease
        others = [
            await stack.enter_async_context(carts_process(url, road, tmp_path / f"{number}.log")) for number in range(2)
        ]
        await asyncio.gather(*(other.until_waiting_for() for other in others))

        async def is_placed() -> bool:
            return bool((await checkout(others[0]))["status"] == "placed")

        await eventually(is_placed, 30)
        assert (await checkout(others[1]))["order"] == order["id"]
    assert [each["id"] for each in await orders_of(customer["id"], orders_url)] == [order["id"]]
    assert [line["quantity"] for line in order["lines"]] == [6]
    told = await database.fetch("SELECT payload::jsonb ->> 'order' FROM outbox WHERE type LIKE '%cart-checked-out%'")
    assert [each[0] for each in told] == [order["id"]]


@dataclass
class Customer:
    """Fills one cart through whichever replica answers, sends again what got no answer, and knows what was received."""

    replicas: list[ServiceProcess]
    cart: str
    customer: dict[str, Any]
    received: int = 0
    bought: int = 0

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        while True:
            client = random.choice(self.replicas).client
            try:
                return await client.request(method, f"/carts/{self.cart}{path}", json=body, headers=_under(key))
            except httpx.TransportError:
                await asyncio.sleep(0.05)

    async def fill(self, until: asyncio.Task[None]) -> None:
        while not (until.done() and self.bought > 1):
            body = {"item": "cola", "quantity": 1, "customer": self.customer}
            answer = await self.ask("POST", "/items", body, new_id())
            self.received += answer.status_code == 202
            await asyncio.sleep(0.02)

    async def is_open(self) -> bool:
        checkout = (await self.ask("GET", "")).json().get("checkout")
        return checkout is None or checkout["status"] != "placing"

    async def buy(self, database: Database) -> None:
        """Check out; come back when that is through, whoever was killed with it in hand."""
        answer = await self.ask("POST", "/checkout", TERMS)

        async def is_through() -> bool:
            await database.fetch("UPDATE jobs SET due = now() WHERE lease IS NOT NULL")  # as if leases ended at once
            return await self.is_open()

        await eventually(is_through, 45)
        self.bought += answer.status_code == 202


def _under(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


async def test_each_checkout_has_all_that_was_received_whoever_is_killed(
    url: str, database: Database, orders_url: str, tmp_path: Path
) -> None:
    """Four hands fill one cart through two replicas that are killed in turn, and it is checked out all the time."""
    customer = {**ADA, "id": new_id()}

    async def ordered() -> list[int]:
        return [line["quantity"] for order in await orders_of(customer["id"], orders_url) for line in order["lines"]]

    async with Road(orders_url.removeprefix("http://")) as road, AsyncExitStack() as stack:
        await road.open()

        async def replica(number: int) -> ServiceProcess:
            process = await stack.enter_async_context(carts_process(url, road, tmp_path / f"{number}.log"))
            await process.until_waiting_for()
            return process

        shopper = Customer([await replica(number) for number in range(2)], new_id(), customer)

        async def kill_in_turn() -> None:
            for number in range(2):
                await asyncio.sleep(random.uniform(0.2, 1.0))
                await shopper.replicas[number % 2].process.kill()
                shopper.replicas[number % 2] = await replica(2 + number)

        killing = asyncio.create_task(kill_in_turn())
        filling = [asyncio.create_task(shopper.fill(killing)) for _ in range(4)]
        while not all(task.done() for task in filling):
            before = shopper.received
            await shopper.buy(database)
            assert sum(await ordered()) >= before
        await asyncio.gather(killing, *filling)
        await shopper.buy(database)
    assert len(quantities := await ordered()) in range(2, 100)
    assert sum(quantities) == shopper.received


def carts_process(url: str, road: Road, log: Path) -> AbstractAsyncContextManager[ServiceProcess]:
    """All of carts but its relay: what it publishes stays where it can be counted."""
    orders_url = f"http://{road.address}"
    return process_of(MODULE, log, database_url=url, kafka=NOWHERE, orders_url=orders_url, roles="api,jobs")
