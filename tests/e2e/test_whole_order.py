"""One order from the customer's click to the loyalty points, on every way it can take."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.invariants import assert_sound
from tests.system import Document, Shop
from tests.waiting import eventually

PLACED, RESERVED = "orders.order-placed.v1", "inventory.stock-reserved.v1"
PAID, CONFIRMED = "payments.payment-received.v1", "orders.order-confirmed.v2"
PREPARED, BAKED = "kitchen.pizza-prepared.v1", "kitchen.pizza-baked.v1"
DISPATCHED, DELIVERED = "delivery.order-dispatched.v1", "delivery.order-delivered.v1"
COLLECTED, COMPLETED = "delivery.order-collected.v1", "orders.order-completed.v1"
DELAYED = "orders.order-delayed.v1"


async def test_a_delivery_travels_from_the_click_to_the_loyalty_points(shop: Shop) -> None:
    customer = "ada-delivery"
    before = await shop.stock("dough")
    order = await shop.place({"margherita": 2, "cola": 1}, customer=customer)

    document = await shop.complete(order)

    assert document["total"] == {"amount": 2700, "currency": "GBP"}
    assert [status for status, _ in _steps(document)] == sorted(
        (status for status, _ in _steps(document)), key=_STATUSES.index
    ), "the status never goes back"
    events = [event for _, event in _steps(document)]
    assert set(events[1:3]) == {RESERVED, PAID}, "stock and payment know nothing of each other"
    assert [events[0], *events[3:]] == [PLACED, CONFIRMED, PREPARED, BAKED, DISPATCHED, DELIVERED, COMPLETED]
    assert [entry["text"] for entry in document["timeline"]][3:] == [
        "The order is confirmed.",
        "The kitchen has started.",
        "Everything is out of the oven.",
        "The courier is on the way.",
        "The courier has delivered.",
        "The order is completed.",
    ]
    await _points(shop, customer, 27)
    await assert_sound(shop)
    after = await shop.stock("dough")
    assert (after["on_hand"], after["sold"]) == (before["on_hand"] - 2, before["sold"] + 2)
    assert [entry["kind"] for entry in await shop.ledger(order)] == ["charge"]


async def test_a_collection_is_ready_when_baked_and_ends_at_the_counter(shop: Shop) -> None:
    order = await shop.place({"marinara": 1}, fulfilment="collection", address=None)
    await shop.press(order, "prepared", "baked")

    assert (await shop.wait_for_status(order, "ready"))["status"] == "ready"
    assert (await shop.push(order, "dispatched")).status_code == 409
    await shop.press(order, "collected")

    document = await shop.wait_for_status(order, "completed")
    assert [event for _, event in _steps(document)][-4:] == [PREPARED, BAKED, COLLECTED, COMPLETED]


async def test_what_needs_no_oven_leaves_at_once(shop: Shop) -> None:
    order = await shop.place({"water": 3})
    await shop.wait_for_status(order, "confirmed")
    await shop.press(order, "dispatched", "delivered")

    document = await shop.wait_for_status(order, "completed")

    assert (await shop.push(order, "prepared")).status_code == 404, "the kitchen never heard of it"
    assert PREPARED not in [event for _, event in _steps(document)]


async def test_the_wrong_button_is_refused_and_changes_nothing(shop: Shop) -> None:
    order = await shop.place({"funghi": 1})
    await shop.press(order, "prepared")

    assert (await shop.push(order, "delivered")).status_code in (404, 409)
    assert (await shop.push(order, "dispatched")).status_code in (404, 409)

    await shop.press(order, "baked", "dispatched", "delivered")
    await shop.wait_for_status(order, "completed")


async def test_both_versions_of_a_confirmation_are_one_occurrence(shop: Shop) -> None:
    order = await shop.place({"cola": 1, "water": 2})
    await shop.wait_for_status(order, "confirmed")
    await assert_sound(shop)

    told = [each for each in shop.journal.events(order) if ".order-confirmed." in each.type]
    totals = {each.type.rpartition(".")[2]: json.loads(each.data)["total"] for each in told}

    assert totals == {"v1": 700, "v2": {"amount": 700, "currency": "GBP"}}
    assert len({each.occurrenceid for each in told}) == 1
    mails = await shop.get("notifications", "/notifications", about=order)
    assert [mail["kind"] for mail in mails["items"]] == ["order-confirmed"]


async def test_everything_an_order_sets_off_carries_its_correlation(shop: Shop) -> None:
    order = await shop.place({"water": 1})
    await shop.complete(order)
    await assert_sound(shop)

    events = shop.journal.events(order)
    placed = next(each for each in events if each.type.endswith("order-placed.v1"))
    before_the_buttons = [each for each in events if ".delivery." not in each.type and "completed" not in each.type]

    assert len(before_the_buttons) == 5
    assert {each.correlationid for each in before_the_buttons} == {placed.correlationid}
    assert {each.causationid for each in events if each.type.endswith(("reserved.v1", "received.v1"))} == {placed.id}


async def test_the_stream_shows_every_step_until_the_end(shop: Shop) -> None:
    order = await shop.place({"water": 1})
    seen: list[str] = []

    async with shop.http.stream("GET", shop.url("orders", f"/orders/{order}/stream")) as answer:
        async for document in _documents(answer):
            if document["status"] == "confirmed" and "confirmed" not in seen:
                await shop.press(order, "dispatched", "delivered")
            seen.append(document["status"])

    assert seen[-1] == "completed"
    assert seen == sorted(seen, key=_STATUSES.index)


async def test_the_staff_robot_finishes_what_it_finds(shop: Shop) -> None:
    await shop.system.robot(delay=0)
    orders = [await shop.place({"diavola": 1, "water": 1}) for _ in range(5)]
    orders += [await shop.place({"cola": 1}, fulfilment="collection", address=None) for _ in range(5)]

    assert await shop.wait_for_statuses(orders, "completed") == {"completed": 10}


async def test_a_step_that_takes_too_long_is_told_once(shop: Shop) -> None:
    async with shop.told("orders", delay_after_seconds="3"):
        await shop.moods(slow_seconds=6)
        order = await shop.place({"water": 1})

        async def delayed() -> bool:
            return DELAYED in [event for _, event in _steps(await shop.order(order))]

        await eventually(delayed, what="order-delayed")
        document = await shop.wait_for_status(order, "confirmed")
        await shop.complete(order)

    entries = document["timeline"]
    delays = [entry for entry in entries if entry["event"].endswith(DELAYED)]
    assert len([entry for entry in delays if entry["text"].startswith("Still placed")]) == 1
    heard = [event for _, event in _steps(document)][: entries.index(delays[0])]
    lacking = [name for event, name in ((RESERVED, "stock"), (PAID, "payment")) if event not in heard]
    assert "payment" in lacking
    assert delays[0]["text"].endswith(f", waiting for {' and '.join(lacking)}."), "on a slow day, stock is late as well"
    await assert_sound(shop)


_STATUSES = ["placed", "confirmed", "preparing", "baked", "ready", "dispatched", "completed"]


def _steps(document: Document) -> list[tuple[str, str]]:
    return [(entry["status"], entry["event"].removeprefix("sliceline.")) for entry in document["timeline"]]


async def _points(shop: Shop, customer: str, points: int) -> None:
    async def credited() -> bool:
        return bool((await shop.get("loyalty", f"/customers/{customer}/points"))["points"] == points)

    await eventually(credited, what=f"{points} points for {customer}")


async def _documents(answer: httpx.Response) -> AsyncIterator[Any]:
    async for line in answer.aiter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


@pytest.fixture(autouse=True)
async def _enough(shop: Shop) -> None:
    for sku in ("dough", "water", "cola"):
        await shop.set_stock(sku, 5000)
