"""Refunds over HTTP on a real database: what the staff may ask for, and what orders makes of payments' answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from backbone.ids import new_id
from backbone.values.amounts import LARGEST_TOTAL
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.test_orders import CUSTOMER, confirmed, count, document, fact, messages, placed, told
from tests.issuing import by


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


def pounds(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


async def ask(orders: Fed, order: str, amount: int | None = None, key: str | None = None) -> httpx.Response:
    body = {"reason": "It came cold."} | ({} if amount is None else {"amount": pounds(amount)})
    headers = by("ann") | ({"Idempotency-Key": key} if key else {})
    return await orders.client.post(f"/orders/{order}/refunds", json=body, headers=headers)


def outcome(order: str, refund: dict[str, Any], paid: bool = True) -> tuple[str, dict[str, Any]]:
    data = {"order": order, "refund": refund["id"], "amount": refund["amount"], "reason": refund["reason"]}
    if paid:
        return "sliceline.payments.refund-paid.v1", data
    return "sliceline.payments.refund-failed.v1", {**data, "why": "The provider refused it."}


async def test_a_refund_is_asked_for_told_and_shown(orders: Fed) -> None:
    order = await confirmed(orders)
    answer = await ask(orders, order, 500)
    assert (answer.status_code, answer.headers["location"]) == (202, f"/orders/{order}")
    assert answer.json() == await document(orders, order)
    [refund] = answer.json()["refunds"]
    assert (refund["amount"], refund["reason"], refund["by"]) == (pounds(500), "It came cold.", "ann")
    assert (refund["status"], refund["settled_at"]) == ("requested", None)
    event_type, data = (await orders.published(order))[-1]
    assert event_type == "sliceline.orders.order-refund-requested.v1"
    assert data == {
        "order": order,
        "customer": CUSTOMER,
        "refund": refund["id"],
        "amount": pounds(500),
        "reason": "It came cold.",
        "by": "ann",
    }


async def test_what_was_given_back_is_noted_and_told_to_those_who_write_to_the_customer(orders: Fed) -> None:
    order = await confirmed(orders)
    refund = (await ask(orders, order)).json()["refunds"][0]
    assert refund["amount"] == pounds(2400)
    record = orders.record(*outcome(order, refund))
    await orders.deliver(record, record)
    shown = await document(orders, order)
    assert [(each["status"], each["failure"]) for each in shown["refunds"]] == [("paid", None)]
    assert shown["refunds"][0]["settled_at"] is not None
    assert shown["status"] == "confirmed"
    assert [entry["text"] for entry in shown["timeline"][-2:]] == [
        "A refund of 24.00 GBP is asked for: It came cold.",
        "24.00 GBP was refunded.",
    ]
    assert await told(orders, order) == [
        "order-placed.v1",
        "order-confirmed.v1",
        "order-confirmed.v2",
        "order-refund-requested.v1",
        "order-refunded.v1",
    ]


async def test_what_failed_can_be_asked_for_again(orders: Fed) -> None:
    order = await confirmed(orders)
    refund = (await ask(orders, order)).json()["refunds"][0]
    assert (await ask(orders, order, 1)).status_code == 409
    await orders.feed(outcome(order, refund, paid=False))
    shown = await document(orders, order)
    assert [(each["status"], each["failure"]) for each in shown["refunds"]] == [("failed", "The provider refused it.")]
    assert shown["timeline"][-1]["text"] == "The refund of 24.00 GBP failed: The provider refused it."
    assert (await ask(orders, order)).status_code == 202


async def test_refunds_at_once_never_exceed_what_was_paid(orders: Fed) -> None:
    order = await confirmed(orders)
    answers = await asyncio.gather(*(ask(orders, order, 1000) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202] * 2 + [409] * 4
    assert sum(each["amount"]["amount"] for each in (await document(orders, order))["refunds"]) == 2000
    refused = await ask(orders, order, 401)
    assert (refused.status_code, refused.json()["title"], refused.json()["left"]) == (
        409,
        "Refund too large",
        pounds(400),
    )


async def test_one_key_is_one_refund(orders: Fed) -> None:
    order, key = await confirmed(orders), new_id()
    answers = await asyncio.gather(*(ask(orders, order, 500, key) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert await count(orders, "refunds") == 1
    other = await ask(orders, order, 600, key)
    assert (other.status_code, other.json()["title"]) == (422, "Idempotency key reused")


async def test_what_was_not_paid_or_is_undone_anyhow_is_a_clear_conflict(orders: Fed) -> None:
    fresh, cancelled, rejected = [await placed(orders) for _ in range(3)]
    await orders.client.post(f"/orders/{cancelled}/cancel")
    await orders.feed(fact("payments.payment-received", rejected))
    await orders.feed(fact("inventory.stock-rejected", rejected, short=[{"sku": "a", "quantity": 2, "available": 1}]))
    details = []
    for order in (fresh, cancelled, rejected):
        answer = await ask(orders, order)
        assert (answer.status_code, answer.json()["title"]) == (409, "Nothing to refund")
        details.append(answer.json()["detail"])
    assert "has not been charged" in details[0]
    assert all("given back as a whole" in detail for detail in details[1:])
    assert (await ask(orders, new_id())).status_code == 404
    assert await count(orders, "refunds") == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"reason": None}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "a\nb"}, "reason"),
        ({"amount": pounds(0)}, "amount.amount"),
        ({"amount": pounds(-5)}, "amount.amount"),
        ({"amount": pounds(LARGEST_TOTAL + 1)}, "amount.amount"),
        ({"amount": {"amount": 1.5, "currency": "GBP"}}, "amount.amount"),
        ({"amount": {"amount": 1, "currency": "EUR"}}, "amount.currency"),
        ({"amount": 500}, "amount"),
        ({"to": "me"}, "to"),
    ],
    ids=str,
)
async def test_a_bad_refund_is_refused_by_field(orders: Fed, wrong: dict[str, Any], field: str) -> None:
    order = await confirmed(orders)
    answer = await orders.client.post(f"/orders/{order}/refunds", json={"reason": "cold"} | wrong)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await count(orders, "refunds") == 0


async def test_a_refund_of_an_order_that_is_not_known_is_kept_in_its_timeline(orders: Fed) -> None:
    order = new_id()
    refund = {"id": new_id(), "amount": pounds(500), "reason": "cold"}
    await orders.feed(outcome(order, refund), outcome(order, refund, paid=False))
    assert await count(orders, f"timeline WHERE order_id = '{order}' AND status IS NULL") == 2


async def test_whoever_follows_an_order_sees_its_refund(orders: Fed) -> None:
    order = await confirmed(orders)
    streaming = asyncio.create_task(orders.client.get(f"/orders/{order}/stream"))
    await asyncio.sleep(0.4)
    refund = (await ask(orders, order, 500)).json()["refunds"][0]
    await asyncio.sleep(0.4)
    await orders.feed(outcome(order, refund), fact("delivery.order-collected", order))
    told = messages((await asyncio.wait_for(streaming, 5)).text)
    assert [[each["status"] for each in order["refunds"]] for order in told] == [[], ["requested"], ["paid"]]
