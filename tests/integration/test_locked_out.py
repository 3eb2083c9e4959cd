"""What somebody else holds keeps only those waiting who need it, and nobody for long."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from backbone.ids import new_id
from services.delivery.service import SERVICE as DELIVERY
from services.inventory.service import SERVICE as INVENTORY
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, serving, until_a_lock_is_awaited
from tests.integration.test_delivery import confirmed
from tests.integration.test_group_commit import ORDER
from tests.integration.test_inventory import placed
from tests.issuing import SOMEBODY, by

AT_ONCE = 2.0
"""Seconds; without anybody in the way it takes some milliseconds, and the machine may be busy."""


@pytest.fixture
async def inventory_url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "inventory")


@pytest.fixture
async def orders_url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "orders")


@pytest.fixture
async def inventory(inventory_url: str) -> AsyncIterator[Fed]:
    async with fed(INVENTORY, lambda _: inventory_url) as service:
        yield service


@pytest.fixture
async def orders(orders_url: str) -> AsyncIterator[Fed]:
    async with fed(ORDERS, lambda _: orders_url) as service:
        yield service


@pytest.fixture
async def delivery_url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "delivery")


@pytest.fixture
async def delivery(delivery_url: str) -> AsyncIterator[Fed]:
    async with fed(DELIVERY, lambda _: delivery_url) as service:
        yield service


@asynccontextmanager
async def held(url: str, statement: str) -> AsyncIterator[None]:
    """Somebody runs a statement in a transaction and leaves it open during the block."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        await connection.execute(f"BEGIN; {statement}")
        yield
    finally:
        await connection.close()


async def adjust(inventory: Fed, sku: str, **headers: str) -> httpx.Response:
    body = {"channel": "shop-till", "reason": "sold over the counter", "change": 1}
    return await inventory.client.post(f"/stock/{sku}/adjustments", json=body, headers=headers)


async def order(orders: Fed, **headers: str) -> httpx.Response:
    return await orders.client.post("/orders", json=ORDER, headers=headers)


def assert_told_to_wait(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "Nothing was done; send the request again." in answer.json()["detail"]


async def assert_ready(service: Fed) -> None:
    assert (await service.client.get("/health/ready")).status_code == 200


async def test_a_locked_row_of_stock_stops_nobody_who_does_not_need_it(inventory: Fed, inventory_url: str) -> None:
    async with held(inventory_url, "SELECT FROM stock WHERE sku = 'garlic' FOR UPDATE"):
        began = time.monotonic()
        waiting = [asyncio.create_task(adjust(inventory, "garlic")) for _ in range(60)]
        await asyncio.sleep(0)
        async with asyncio.timeout(AT_ONCE):
            assert (await adjust(inventory, "basil")).status_code == 200
            assert (await inventory.client.get("/stock/garlic")).status_code == 200
            await assert_ready(inventory)
            await inventory.feed(placed(new_id(), cola=1))
        for answer in await asyncio.gather(*waiting):
            assert_told_to_wait(answer)
        assert time.monotonic() - began < 12
    assert (await adjust(inventory, "garlic")).status_code == 200


async def test_a_table_that_is_being_altered_stops_neither_events_nor_readiness(
    inventory: Fed, inventory_url: str
) -> None:
    async with held(inventory_url, "LOCK TABLE recipes IN ACCESS EXCLUSIVE MODE"):
        reading = [inventory.client.get("/recipes/margherita") for _ in range(40)]
        recipe = {"ingredients": [{"sku": "basil", "quantity": 1}]}
        writing = [inventory.client.put(f"/recipes/pizza-{number}", json=recipe) for number in range(40)]
        waiting = asyncio.gather(*reading, *writing)
        await asyncio.sleep(0)
        async with asyncio.timeout(AT_ONCE), inventory.database.transaction() as tx:
            await tx.raw.execute("SELECT FROM stock FOR UPDATE")
            await assert_ready(inventory)
        for answer in await waiting:
            assert_told_to_wait(answer)


async def test_whoever_holds_an_advisory_lock_is_not_waited_for_long(inventory: Fed, inventory_url: str) -> None:
    async with held(inventory_url, "SELECT pg_advisory_xact_lock(9)"):
        began = time.monotonic()
        with pytest.raises(asyncpg.LockNotAvailableError):
            await inventory.database.fetch("SELECT pg_advisory_xact_lock(9)")
        assert time.monotonic() - began < 10


async def test_a_twin_that_never_ends_is_not_waited_for_long(inventory: Fed, inventory_url: str) -> None:
    """Its Idempotency-Key is written, and neither committed nor rolled back."""
    scope = "POST /stock/garlic/adjustments as somebody"
    claimed = f"INSERT INTO idempotency_keys (scope, key, fingerprint) VALUES ('{scope}', 'k', '')"
    async with held(inventory_url, claimed):
        assert_told_to_wait(await adjust(inventory, "garlic", **{"Idempotency-Key": "k"}))
        assert (await adjust(inventory, "garlic")).status_code == 200
    assert (await adjust(inventory, "garlic", **{"Idempotency-Key": "k"})).status_code == 200


async def test_an_order_whose_key_is_held_keeps_no_other_order_waiting(orders: Fed, orders_url: str) -> None:
    held_key = "INSERT INTO idempotency_keys (scope, key, fingerprint) VALUES ('POST /orders as somebody', 'held', '')"
    async with held(orders_url, held_key):
        began = time.monotonic()
        keys = ["held" if number == 30 else f"k{number}" for number in range(60)]
        answers = await asyncio.gather(*(order(orders, **{"Idempotency-Key": key}) for key in keys))
        assert_told_to_wait(answers.pop(30))
        assert {answer.status_code for answer in answers} == {202}
        assert time.monotonic() - began < 8
    assert (await order(orders, **{"Idempotency-Key": "held"})).status_code == 202


async def test_who_comes_while_as_many_wait_as_may_is_told_to_come_again(orders: Fed, orders_url: str) -> None:
    with serving(ORDERS, orders_url, requests_in_flight=1) as address:
        async with httpx.AsyncClient(base_url=address, headers=by(SOMEBODY)) as client:
            async with held(orders_url, "LOCK TABLE orders IN EXCLUSIVE MODE"):
                waiting = asyncio.create_task(client.post("/orders", json=ORDER))
                await until_a_lock_is_awaited(orders.database)
                for headers in ({}, {"Content-Encoding": "identity"}):  # the short way, and the ordinary one
                    refused = await client.post("/orders", json=ORDER, headers=headers)
                    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert (await waiting).status_code == 202
            assert 'route="/orders",status="429"' in (await client.get("/metrics")).text
            assert (await client.post("/orders", json=ORDER)).status_code == 202


async def test_an_order_that_fails_is_logged_with_the_correlation_id_of_its_answer(
    orders: Fed, orders_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held_key = "INSERT INTO idempotency_keys (scope, key, fingerprint) VALUES ('POST /orders as somebody', 'held', '')"
    async with held(orders_url, held_key):
        answer = await order(orders, **{"Idempotency-Key": "held"})
    assert_told_to_wait(answer)
    [line] = [line for line in capsys.readouterr().out.splitlines() if "a request failed" in line]
    assert answer.headers["x-correlation-id"] in line


async def test_a_menu_that_is_being_altered_stops_new_orders_only(orders: Fed, orders_url: str) -> None:
    known = (await order(orders)).json()["id"]
    altered = held(orders_url, "LOCK TABLE menu IN ACCESS EXCLUSIVE MODE")
    async with fed(ORDERS, lambda _: orders_url) as fresh, altered:  # its menu is still to be read
        waiting = asyncio.gather(*(order(fresh) for _ in range(40)))
        await asyncio.sleep(0)
        async with asyncio.timeout(AT_ONCE), fresh.database.transaction() as tx:
            await tx.raw.execute("SELECT FROM orders FOR UPDATE")
            await assert_ready(fresh)
        for answer in await waiting:
            assert_told_to_wait(answer)
        assert (await fresh.client.get(f"/orders/{known}")).status_code == 200


OPERATIONS = {
    # What operators send, and what somebody holds that it waits for.
    "/refused-events/retry": ({}, "SELECT pg_advisory_xact_lock(hashtext('sliceline.relay'))"),
    "/refused-events/{}/discard": ({"reason": "r"}, "SELECT pg_advisory_xact_lock(hashtext('sliceline.relay'))"),
    "/reread": ({}, "LOCK TABLE consumer_offsets IN ACCESS EXCLUSIVE MODE"),
    "/log-breaks/acknowledge": ({}, "LOCK TABLE log_breaks IN ACCESS EXCLUSIVE MODE"),
    "/dead-letters/redrive": ({}, "LOCK TABLE parked_keys IN ACCESS EXCLUSIVE MODE"),
    "/pauses": ({"what": "key", "name": "a", "reason": "r"}, "LOCK TABLE parked_keys IN ACCESS EXCLUSIVE MODE"),
    "/jobs/7/retry": ({}, "LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"),
}


@pytest.mark.parametrize("path", OPERATIONS)
async def test_operators_who_wait_stop_neither_the_parts_nor_commands(
    inventory: Fed, inventory_url: str, path: str
) -> None:
    body, statement = OPERATIONS[path]
    async with held(inventory_url, statement):
        waiting = [asyncio.create_task(inventory.client.post(path.format(each), json=body)) for each in range(20)]
        await until_a_lock_is_awaited(inventory.database)
        async with asyncio.timeout(AT_ONCE):
            assert (await adjust(inventory, "basil")).status_code == 200
            async with inventory.database.transaction() as tx:
                await tx.raw.execute("SELECT FROM stock FOR UPDATE")
                await assert_ready(inventory)
        for answer in await asyncio.gather(*waiting):
            assert_told_to_wait(answer)


async def press(delivery: Fed, path: str, *orders: str) -> httpx.Response:
    content: dict[str, Any] = {"json": {"orders": orders}} if orders else {}
    return await delivery.client.post(f"/deliveries/{path}", **content)


@pytest.fixture
async def ready(delivery: Fed) -> tuple[str, str, str]:
    """Three orders that can leave."""
    orders = (new_id(), new_id(), new_id())
    await delivery.feed(*(confirmed(order, baked=False) for order in orders))
    return orders


BUTTONS = ("dispatched", "delivered", "collected")


async def test_a_locked_order_among_many_stops_no_button_of_another(
    delivery: Fed, delivery_url: str, ready: tuple[str, str, str]
) -> None:
    locked, one, another = ready
    async with held(delivery_url, f"SELECT FROM deliveries WHERE order_id = '{locked}' FOR UPDATE"):
        waiting = [asyncio.create_task(press(delivery, button, locked, one)) for button in BUTTONS * 4]
        await until_a_lock_is_awaited(delivery.database)
        async with asyncio.timeout(AT_ONCE):
            assert (await press(delivery, f"{another}/dispatched")).status_code == 200
            await assert_ready(delivery)
        for answer in await asyncio.gather(*waiting):
            assert_told_to_wait(answer)


async def test_all_buttons_of_a_locked_order_together_keep_one_connection_waiting(
    delivery: Fed, delivery_url: str, ready: tuple[str, str, str]
) -> None:
    *locked, another = ready
    async with held(delivery_url, f"SELECT FROM deliveries WHERE order_id <> '{another}' FOR UPDATE"):
        waiting = [asyncio.create_task(press(delivery, f"{order}/{button}")) for order in locked for button in BUTTONS]
        await until_a_lock_is_awaited(delivery.database)
        async with asyncio.timeout(AT_ONCE):
            assert (await press(delivery, f"{another}/dispatched")).status_code == 200
        for answer in await asyncio.gather(*waiting):
            assert_told_to_wait(answer)


async def test_many_orders_leave_in_one_request_beside_others_that_do(
    delivery: Fed, ready: tuple[str, str, str]
) -> None:
    answers = await asyncio.gather(*(press(delivery, "dispatched", order) for order in ready * 10))
    assert {answer.status_code for answer in answers} == {200}
    assert not any(answer.json()["refused"] for answer in answers)
