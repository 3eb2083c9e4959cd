"""What the door takes, every later door takes; what a later one would refuse, the first one refuses by its field."""

import json
from collections.abc import AsyncIterator
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest

from services.inventory.service import SERVICE as INVENTORY
from services.kitchen.service import SERVICE as KITCHEN
from services.loyalty.service import SERVICE as LOYALTY
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
ORDER = {
    "customer": CUSTOMER,
    "currency": "GBP",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 1}],
}


@pytest.fixture(scope="module")
def one_database(new_database: NewDatabase) -> NewDatabase:
    return cache(new_database)


@pytest.fixture
async def orders(one_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(ORDERS, one_database) as service:
        yield service


async def place(orders: Fed, field: str = "", text: str = "") -> Any:
    order = json.loads(json.dumps(ORDER))
    if field:
        *way, name = field.split(".")
        place = order
        for step in way:
            place = place[int(step) if step.isdecimal() else step]
        place[name] = text
    return await orders.client.post("/orders", json=order)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("customer.id", "c1\ufffe"),
        ("customer.id", "c1\U0001ffff"),
        ("customer.id", "\u200b"),
        ("customer.name", "\ufeffAda"),
        ("customer.name", "\u202eadA"),
        ("customer.name", "A\x85da"),
        ("customer.email", "\ufeffx@example.com"),
        ("customer.email", '"test"@iana.org'),
        ("customer.email", "<me@example.com"),
        ("customer.email", "test@[IPv6:::]"),
        ("customer.email", "x@=?utf-8?q?example.com=0D=0ABcc=3A_evil=40x.example?="),
        ("customer.email", "=?utf-8?b?YQ?=@example.com"),
        ("customer.email", "ada@example.com\u200b"),
        ("address", "1 Mill\u2028Lane"),
        ("address", "\u3000"),
        ("lines.0.item", "margherita\u200b"),
    ],
    ids=ascii,
)
async def test_a_text_that_a_later_door_would_refuse_is_named(orders: Fed, field: str, text: str) -> None:
    answer = await place(orders, field, text)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])
    assert "^" not in answer.json()["errors"][0]["message"]  # in words, not as a pattern


@pytest.mark.parametrize(
    "customer", ["می\u200cخواهم", "👩\u200d👩\u200d👧", "שלום\u200f", "\U000323af", "☂" * 64], ids=ascii
)
async def test_a_customer_whom_the_door_takes_gets_points(
    orders: Fed, new_database: NewDatabase, customer: str
) -> None:
    placed = await place(orders, "customer.id", customer)
    assert placed.status_code == 202
    async with fed(LOYALTY, new_database) as loyalty:
        total = {"amount": 1200, "currency": "GBP"}
        data = {"order": placed.json()["id"], "customer_id": customer, "total": total}
        await loyalty.feed(("sliceline.orders.order-completed.v1", data))
        points = await loyalty.client.get(f"/customers/{quote(customer, safe='')}/points")
        assert points.json()["points"] == 12
        assert (await loyalty.client.get("/dead-letters")).json()["items"] == []


@pytest.mark.parametrize("text", ["c1\ufffe", "\u202eadA", "a" * 65], ids=ascii)
async def test_a_customer_whom_no_door_takes_is_not_asked_for(
    orders: Fed, new_database: NewDatabase, text: str
) -> None:
    found = await orders.client.get("/orders", params={"customer": text})
    assert (found.status_code, found.json()["errors"][0]["field"]) == (422, "customer")
    async with fed(LOYALTY, new_database) as loyalty:
        points = await loyalty.client.get(f"/customers/{quote(text, safe='')}/points")
        assert (points.status_code, points.json()["errors"][0]["field"]) == (422, "customer")


async def test_a_key_in_a_list_is_one_line(new_database: NewDatabase) -> None:
    async with fed(KITCHEN, new_database) as kitchen:
        listed = await kitchen.client.post("/tickets/prepared", json={"orders": ["o\u2029"]})
        assert (listed.status_code, listed.json()["errors"][0]["field"]) == (422, "orders.0")


@pytest.mark.parametrize("reason", ["so\u2028what", "\u200b", "\ufeff", " late"], ids=ascii)
async def test_a_reason_is_one_line_wherever_it_is_given(orders: Fed, new_database: NewDatabase, reason: str) -> None:
    order = (await place(orders)).json()["id"]
    cancelled = await orders.client.post(f"/orders/{order}/cancel", json={"reason": reason})
    assert (cancelled.status_code, cancelled.json()["errors"][0]["field"]) == (422, "reason")
    async with fed(INVENTORY, new_database) as inventory:
        body = {"change": 1, "channel": "till", "reason": reason}
        adjusted = await inventory.client.post("/stock/mcguffin/adjustments", json=body)
        assert (adjusted.status_code, adjusted.json()["errors"][0]["field"]) == (422, "reason")
