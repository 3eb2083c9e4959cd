"""A whole number may be written 1, 1.0 or 1e0: over HTTP and in events, wherever the documents say `integer`."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from backbone.ids import new_id
from services.inventory.service import SERVICE as INVENTORY
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration import test_inventory, test_orders
from tests.integration.one_service import Fed, fed

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def inventory(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(INVENTORY, new_database) as service:
        yield service


async def test_an_order_may_say_its_quantity_so(new_database: NewDatabase) -> None:
    async with fed(ORDERS, new_database) as orders:
        answer = await orders.client.post("/orders", json=test_orders.line(quantity=2.0))
        assert answer.status_code == 202, answer.text
        assert [line["quantity"] for line in answer.json()["lines"]] == [1, 2]
        for refused in (1.5, 0.0, 1001.0, True, "2"):
            answer = await orders.client.post("/orders", json=test_orders.line(quantity=refused))
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["field"] == "lines.1.quantity"


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "value"),
    [
        ("PATCH", "/stock/mcguffin", '{"threshold": 2e1, "ceiling": 300.0}', "threshold", 20),
        ("POST", "/stock/mcguffin/adjustments", '{"change": -5.0, "channel": "till", "reason": "sold"}', "on_hand", 95),
        ("POST", "/stock/mcguffin/adjustments", '{"set": 5E2, "channel": "till", "reason": "counted"}', "on_hand", 500),
    ],
)
async def test_stock_may_be_counted_so(
    inventory: Fed, method: str, path: str, body: str, field: str, value: int
) -> None:
    answer = await inventory.client.request(method, path, content=body, headers=JSON)
    assert answer.is_success, answer.text
    assert (await test_inventory.level(inventory, "mcguffin"))[field] == value


async def test_a_recipe_may_say_its_quantities_so(inventory: Fed) -> None:
    body = '{"ingredients": [{"sku": "dough", "quantity": 2.0}]}'
    answer = await inventory.client.put("/recipes/calzone", content=body, headers=JSON)
    assert answer.is_success, answer.text
    assert (await inventory.client.get("/recipes/calzone")).json()["ingredients"] == [{"sku": "dough", "quantity": 2}]


async def test_an_event_may_say_its_numbers_so(inventory: Fed) -> None:
    order = new_id()
    quantity: Any = 3.0
    await inventory.feed(test_inventory.placed(order, mcguffin=quantity))
    assert (await test_inventory.level(inventory, "mcguffin"))["reserved"] == 3
    ((_, reserved),) = [each for each in await inventory.published(order) if "stock-reserved" in each[0]]
    assert reserved["lines"] == [{"sku": "mcguffin", "quantity": 3}]
