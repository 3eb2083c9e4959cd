"""Carts on a real database, with the real API of orders beside it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from backbone.application import create_application
from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from backbone.storage.database import Database
from backbone.values.sealed import FORGOTTEN
from services.carts.decisions import PLACE
from services.carts.service import SERVICE
from services.carts.settings import Settings
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, in_one_piece, serving
from tests.issuing import SOMEBODY, by
from tests.roads import Road
from tests.waiting import eventually

ADA = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
TERMS = {"currency": "GBP", "fulfilment": "delivery", "address": "1 Mill Lane"}


@dataclass
class Till:
    """Carts, and the orders that it places."""

    carts: Fed
    orders: httpx.AsyncClient
    context: Context[Settings]

    async def add(self, cart: str, item: str = "margherita", quantity: int = 1, **more: Any) -> httpx.Response:
        body = {"item": item, "quantity": quantity, "customer": ADA, **more}
        return await self.carts.client.post(f"/carts/{cart}/items", json=body)

    async def filled(self, *items: str) -> str:
        cart = new_id()
        for item in items or ("margherita",):
            assert (await self.add(cart, item)).status_code == 202
        return cart

    async def check_out(self, cart: str, **more: Any) -> httpx.Response:
        return await self.carts.client.post(f"/carts/{cart}/checkout", json={**TERMS, **more})

    async def view(self, cart: str) -> dict[str, Any]:
        view: dict[str, Any] = (await self.carts.client.get(f"/carts/{cart}")).json()
        return view

    async def until(self, cart: str, status: str, version: int = 1) -> dict[str, Any]:
        async def is_so() -> bool:
            checkout = (await self.view(cart))["checkout"]
            return bool(checkout) and (checkout["status"], checkout["version"]) == (status, version)

        await eventually(is_so, 30)
        return await self.view(cart)

    async def told(self, cart: str) -> list[str]:
        return [event_type.split(".")[2] for event_type, _ in await self.carts.published(cart)]

    async def job(self) -> Any:
        [job] = await self.carts.database.fetch("SELECT * FROM jobs")
        return job

    async def ordered(self, order: str) -> list[tuple[str, int]]:
        lines = (await self.orders.get(f"/orders/{order}")).json()["lines"]
        return [(line["item"], line["quantity"]) for line in lines]

    async def orders_of(self, customer: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.orders.get("/orders", params={"customer": customer})).json()["items"]
        return items

    @asynccontextmanager
    async def working(self, *others: Context[Settings]) -> AsyncIterator[None]:
        """With this process, and others if given, placing orders."""
        workers = [Worker(PLACE, SERVICE.jobs[PLACE], each) for each in (self.context, *others)]
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            yield
        finally:
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks)


@pytest.fixture(scope="module")
def orders_database(new_database: NewDatabase) -> str:
    return new_database("orders")


@pytest.fixture(scope="module")
def orders_url(orders_database: str) -> Iterator[str]:
    with serving(ORDERS, orders_database) as url:
        yield url


@pytest.fixture
async def till(new_database: NewDatabase, orders_url: str) -> AsyncIterator[Till]:
    url = await asyncio.to_thread(new_database, "carts")
    ours = httpx.AsyncClient(base_url=orders_url, headers=by(SOMEBODY))
    async with fed(SERVICE, lambda _: url) as carts, ours as orders:
        context = Context(Settings(database_url=url, orders_url=orders_url), carts.database)
        yield Till(carts, orders, context)
        await context.http.aclose()


@asynccontextmanager
async def replica(till: Till) -> AsyncIterator[Till]:
    """Another process of carts, as far as it can be told from here: its own connections, turns and group commits."""
    settings = till.context.settings
    context = Context(settings, Database(settings.database_url, "carts"))
    transport = httpx.ASGITransport(in_one_piece(create_application(SERVICE, context)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client:
        yield Till(replace(till.carts, database=context.database, client=client), till.orders, context)
    await context.close()


async def test_an_item_is_received_and_told(till: Till) -> None:
    cart = new_id()
    answer = await till.add(cart, "margherita", 2)
    received = answer.json()
    assert (answer.status_code, answer.headers["location"], answer.headers["retry-after"]) == (
        202,
        f"/carts/{cart}",
        "1",
    )
    assert received.pop("at").endswith("Z")
    assert received == {"cart": cart, "item": "margherita", "quantity": 2, "status": "received"}
    view = await till.view(cart)
    assert (view["version"], view["lines"], view["customer"], view["checkout"]) == (
        1,
        [{"item": "margherita", "quantity": 2}],
        ADA,
        None,
    )
    said = {"cart": cart, "version": 1, "item": "margherita", "quantity": 2, "lines": view["lines"], "customer": ADA}
    assert await till.carts.published(cart) == [("sliceline.carts.item-added-to-cart.v1", said)]


async def test_an_item_is_received_in_one_commit_with_its_event_and_its_key(till: Till) -> None:
    cart, headers = new_id(), {"Idempotency-Key": new_id()}
    await till.carts.client.post(f"/carts/{cart}/items", json={"item": "cola"}, headers=headers)
    rows = await till.carts.database.fetch(
        "SELECT xmin FROM carts WHERE id = $1 UNION ALL SELECT xmin FROM outbox WHERE aggregateid = $1 "
        "UNION ALL SELECT xmin FROM idempotency_keys WHERE key = $2",
        cart,
        headers["Idempotency-Key"],
    )
    assert len(rows) == 3
    assert len({row["xmin"] for row in rows}) == 1


async def test_one_of_an_item_is_added_by_nobody_in_particular_where_nothing_else_is_said(till: Till) -> None:
    cart = new_id()
    await till.carts.client.post(f"/carts/{cart}/items", json={"item": "cola"})
    view = await till.view(cart)
    assert (view["lines"], view["customer"]) == ([{"item": "cola", "quantity": 1}], None)


async def test_an_item_sent_again_under_its_key_is_added_once(till: Till) -> None:
    cart, headers = new_id(), {"Idempotency-Key": new_id()}
    answers = [
        await till.carts.client.post(f"/carts/{cart}/items", json={"item": "cola"}, headers=headers) for _ in range(2)
    ]
    assert answers[0].content == answers[1].content
    assert [each.headers.get("idempotency-replayed") for each in answers] == [None, "true"]
    other = await till.carts.client.post(f"/carts/{cart}/items", json={"item": "water"}, headers=headers)
    assert other.status_code == 422
    assert (await till.view(cart))["lines"] == [{"item": "cola", "quantity": 1}]


async def test_items_that_come_together_are_all_received_and_one_too_many_fails_alone(till: Till) -> None:
    carts = [new_id() for _ in range(3)]
    wanted = [till.add(carts[number % 3], "cola", 10) for number in range(60)]
    answers = await asyncio.gather(*wanted, till.add(carts[0], "water", 1000), till.add(carts[0], "water", 1000))
    assert Counter(each.status_code for each in answers) == {202: 61, 409: 1}
    assert [each.json()["title"] for each in answers if each.status_code == 409] == ["Cart is full"]
    for cart in carts:
        assert {"item": "cola", "quantity": 200} in (await till.view(cart))["lines"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "item"),
        ({"item": "two words"}, "item"),
        ({"item": "x" * 65}, "item"),
        ({"item": "cola", "quantity": 0}, "quantity"),
        ({"item": "cola", "quantity": 1001}, "quantity"),
        ({"item": "cola", "quantity": "2"}, "quantity"),
        ({"item": "cola", "customer": {"id": "ada", "name": "Ada"}}, "customer.email"),
        ({"item": "cola", "customer": {**ADA, "email": "ada"}}, "customer.email"),
        ({"item": "cola", "price": 1}, "price"),
    ],
)
async def test_an_item_that_cannot_be_is_refused_with_its_field(till: Till, body: Any, field: str) -> None:
    cart = new_id()
    answer = await till.carts.client.post(f"/carts/{cart}/items", json=body)
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])
    assert (await till.carts.client.get(f"/carts/{cart}")).status_code == 404


async def test_a_cart_is_called_by_what_can_stand_in_a_header(till: Till) -> None:
    assert (await till.add("Bücher")).status_code == 422
    assert (await till.add("x" * 65)).status_code == 422


async def test_an_item_is_removed_and_told_and_cannot_be_removed_again(till: Till) -> None:
    cart = await till.filled("margherita", "cola")
    removed = await till.carts.client.delete(f"/carts/{cart}/items/cola")
    assert (removed.status_code, removed.json()["quantity"], removed.json()["status"]) == (202, 1, "received")
    again = await till.carts.client.delete(f"/carts/{cart}/items/cola")
    assert (again.status_code, again.json()["title"]) == (404, "Not in the cart")
    nowhere = await till.carts.client.delete(f"/carts/{new_id()}/items/cola")
    assert (nowhere.status_code, nowhere.json()["title"]) == (404, "No such cart")
    assert (await till.view(cart))["lines"] == [{"item": "margherita", "quantity": 1}]
    assert await till.told(cart) == ["item-added-to-cart", "item-added-to-cart", "item-removed-from-cart"]


async def test_how_many_there_are_of_an_item_is_set_and_told(till: Till) -> None:
    cart = await till.filled("margherita", "cola")
    for quantity, told in (
        (3, ["added"]),
        (3, []),
        (2, ["removed", "added"]),
        (0, ["removed"]),
        (0, []),
        (1, ["added"]),
    ):
        before = await till.told(cart)
        answer = await till.carts.client.put(f"/carts/{cart}/items/cola", json={"quantity": quantity})
        assert (answer.status_code, answer.headers["location"]) == (202, f"/carts/{cart}")
        assert (answer.json()["quantity"], answer.json()["status"]) == (quantity, "received")
        lines = [("margherita", 1), ("cola", quantity)][: 2 if quantity else 1]
        assert [(each["item"], each["quantity"]) for each in (await till.view(cart))["lines"]] == lines
        after = (await till.told(cart))[len(before) :]
        assert [each.split("-")[1] for each in after] == told


@pytest.mark.parametrize("quantity", [-1, 1001, 1.5, "2", None])
async def test_how_many_there_are_cannot_be_set_to_what_no_order_has(till: Till, quantity: Any) -> None:
    cart = await till.filled("cola")
    answer = await till.carts.client.put(f"/carts/{cart}/items/cola", json={"quantity": quantity})
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, ["quantity"])
    assert (await till.view(cart))["lines"] == [{"item": "cola", "quantity": 1}]


async def test_how_many_there_are_is_not_set_in_no_cart_nor_while_it_is_checked_out(till: Till) -> None:
    async def refusal(cart: str) -> tuple[int, str]:
        answer = await till.carts.client.put(f"/carts/{cart}/items/cola", json={"quantity": 2})
        return answer.status_code, answer.json()["title"]

    assert await refusal(new_id()) == (404, "No such cart")
    cart = await till.filled()
    await till.check_out(cart)
    assert await refusal(cart) == (409, "Checkout under way")


async def test_a_cart_becomes_an_order_of_all_that_was_received(till: Till) -> None:
    cart = await till.filled("margherita", "cola", "margherita")
    answer = await till.check_out(cart)
    assert (answer.status_code, answer.headers["location"]) == (202, f"/carts/{cart}")
    assert answer.json()["checkout"]["status"] == "placing"
    async with till.working():
        view = await till.until(cart, "placed")
    order = view["checkout"]["order"]
    assert (view["version"], view["lines"]) == (2, [])
    assert await till.ordered(order) == [("margherita", 2), ("cola", 1)]
    (event_type, said) = (await till.carts.published(cart))[-1]
    assert event_type == "sliceline.carts.cart-checked-out.v1"
    assert (said["order"], said["version"], said["customer"]) == (order, 1, ADA)


async def test_an_order_belongs_to_the_story_of_its_checkout(till: Till, orders_database: str) -> None:
    cart = await till.filled()
    story = (await till.check_out(cart)).headers["x-correlation-id"]
    async with till.working():
        order = (await till.until(cart, "placed"))["checkout"]["order"]
    database = Database(orders_database, "orders")
    [(kept,)] = await database.fetch("SELECT correlationid FROM orders WHERE id = $1", order)
    await database.close()
    [(told,)] = await till.carts.database.fetch(
        "SELECT correlationid FROM outbox WHERE type LIKE '%checked-out%' AND aggregateid = $1", cart
    )
    assert (kept, told) == (story, story)


async def test_what_cannot_be_checked_out_is_refused(till: Till) -> None:
    async def refusal(cart: str, **more: Any) -> tuple[int, str, list[str]]:
        answer = await till.check_out(cart, **more)
        problem = answer.json()
        return answer.status_code, problem["title"], [each["field"] for each in problem.get("errors", [])]

    assert await refusal(new_id()) == (404, "No such cart", [])
    cart = await till.filled("cola")
    assert await refusal(cart, currency="EUR") == (422, "Invalid request", ["currency"])
    assert await refusal(cart, address=None) == (422, "Invalid request", ["address"])
    await till.carts.client.delete(f"/carts/{cart}/items/cola")
    assert await refusal(cart) == (409, "Cart is empty", [])
    await till.carts.client.post(f"/carts/{(anonymous := new_id())}/items", json={"item": "cola"})
    assert await refusal(anonymous) == (422, "Invalid request", ["customer"])
    assert (await till.check_out(anonymous, customer=ADA)).status_code == 202


async def test_what_orders_refuses_is_told_with_its_field_and_the_cart_stays_open(till: Till) -> None:
    cart = await till.filled("margherita", "unicorn")
    async with till.working():
        await till.check_out(cart)
        view = await till.until(cart, "refused")
        assert view["checkout"]["errors"] == [{"field": "lines.1.item", "message": "is not on the menu"}]
        assert [line["item"] for line in view["lines"]] == ["margherita", "unicorn"]
        assert (await till.carts.client.delete(f"/carts/{cart}/items/unicorn")).status_code == 202
        await till.check_out(cart)
        view = await till.until(cart, "placed", 2)
    assert await till.ordered(view["checkout"]["order"]) == [("margherita", 1)]


async def test_two_checkouts_at_once_make_one_order(till: Till) -> None:
    customer = {**ADA, "id": new_id()}
    cart = await till.filled()
    async with replica(till) as other, till.working(other.context):
        answers = await asyncio.gather(*(each.check_out(cart, customer=customer) for each in (till, other) * 4))
        assert {each.status_code for each in answers} <= {202, 409}  # 409: the order was there already
        await till.until(cart, "placed")
    assert len(await till.orders_of(customer["id"])) == 1
    assert (await till.told(cart)).count("cart-checked-out") == 1


async def test_a_cart_does_not_change_while_it_is_checked_out(till: Till) -> None:
    cart = await till.filled()
    await till.check_out(cart)
    refused = [await till.add(cart), await till.carts.client.delete(f"/carts/{cart}/items/margherita")]
    assert [(each.status_code, each.json()["title"]) for each in refused] == [(409, "Checkout under way")] * 2
    assert {each.headers["retry-after"] for each in refused} == {"1"}
    assert (await till.check_out(cart)).status_code == 202
    async with till.working():
        await till.until(cart, "placed")
        assert (await till.add(cart, "cola")).status_code == 202
        await till.check_out(cart)
        view = await till.until(cart, "placed", 2)
    assert await till.ordered(view["checkout"]["order"]) == [("cola", 1)]


async def test_no_item_that_was_received_is_missed_by_checkouts_among_the_additions(till: Till) -> None:
    """Two replicas, several customers' clicks at once, and a checkout whenever one is through."""
    cart, customer = new_id(), {**ADA, "id": new_id()}
    received = 0

    async def fill(by: Till, quantity: int) -> None:
        nonlocal received
        for _ in range(25):
            if (await by.add(cart, "cola", quantity, customer=customer)).status_code == 202:
                received += quantity

    async def buy(by: Till) -> None:
        while not filled.is_set():
            await by.check_out(cart)
            await asyncio.sleep(0.02)

    filled = asyncio.Event()
    async with replica(till) as other, till.working(other.context):
        buying = asyncio.gather(buy(till), buy(other))
        await asyncio.gather(*(fill(by, 1 + number) for number, by in enumerate((till, other, till, other))))
        filled.set()
        await buying
        await eventually(lambda: is_open(till, cart), 30)
        if (await till.view(cart))["lines"]:
            await till.check_out(cart)
            await eventually(lambda: is_open(till, cart), 30)
    orders = await till.orders_of(customer["id"])
    assert len(orders) > 1
    assert sum(line["quantity"] for order in orders for line in order["lines"]) == received
    assert (await till.told(cart)).count("cart-checked-out") == len(orders)


async def is_open(till: Till, cart: str) -> bool:
    checkout = (await till.view(cart))["checkout"]
    return checkout is not None and checkout["status"] != "placing"


async def test_a_checkout_waits_for_orders_that_is_away(till: Till, orders_url: str) -> None:
    cart = await till.filled()
    async with Road(orders_url.removeprefix("http://")) as road:
        till.context.settings = till.context.settings.model_copy(update={"orders_url": f"http://{road.address}"})
        async with till.working():
            assert (await till.check_out(cart)).status_code == 202
            await eventually(lambda: has_failed(till), 30)
            assert (await till.view(cart))["checkout"]["status"] == "placing"
            await road.open()
            await till.until(cart, "placed")


async def has_failed(till: Till) -> bool:
    return (await till.job())["error"] is not None


async def test_a_checkout_that_began_too_long_ago_waits_for_a_person(till: Till) -> None:
    """Orders may have forgotten its key by now, and what was asked then may have become an order."""
    cart = await till.filled()
    await till.check_out(cart)
    await till.carts.database.fetch("UPDATE jobs SET first_attempt_at = now() - interval '13 hours', attempts = 1")
    async with till.working():
        await eventually(lambda: is_parked(till), 30)
    assert "Look whether orders has this order" in (await till.job())["error"]
    assert (await till.view(cart))["checkout"]["status"] == "placing"


async def test_a_checkout_of_somebody_who_was_forgotten_is_refused_or_waits_for_a_person(till: Till) -> None:
    """Once orders was asked there may be an order; what is left of the customer would be refused all the same."""
    first, second = await till.filled(), await till.filled()
    for cart in (first, second):
        await till.check_out(cart)
    await till.carts.database.fetch(
        "UPDATE jobs SET data = jsonb_set(data, '{order,customer,name}', to_jsonb($1::text))", FORGOTTEN
    )
    await till.carts.database.fetch("UPDATE jobs SET attempts = 1, first_attempt_at = now() WHERE key = $1", second)
    async with till.working():
        await till.until(first, "refused")
        await eventually(lambda: has_failed(till), 30)
    assert (await till.view(first))["checkout"]["reason"] == "This customer was forgotten."
    assert "Look whether orders has this order" in (await till.job())["error"]
    assert (await till.view(second))["checkout"]["status"] == "placing"


async def is_parked(till: Till) -> bool:
    return (await till.job())["parked_at"] is not None
