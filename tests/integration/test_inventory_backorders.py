"""Orders that wait for stock, on a real database: served in the order of their placement, none of them twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backbone.ids import new_id
from backbone.storage.database import Tx
from services.inventory import moving, store
from services.inventory.decisions import Reservation
from services.inventory.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.test_inventory import Change, adjust, assert_sound, ended, level, names, placed
from tests.waiting import eventually

SHORTAGE = "sliceline.inventory.item-shortage-changed.v1"


@pytest.fixture
async def inventory(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        await adjust(service, "mcguffin", set=0)
        yield service


def patient(order: str, **lines: int) -> Change:
    event_type, data = placed(order, **lines)
    return event_type, data | {"back_orderable": sorted(line["item"] for line in data["lines"])}


async def wait_for(inventory: Fed, count: int, **lines: int) -> list[str]:
    """Place orders that have to wait; returns their ids in order."""
    orders = [new_id() for _ in range(count)]
    await inventory.feed(*(patient(order, **lines) for order in orders))
    return orders


async def reserved(inventory: Fed) -> list[str]:
    rows = await inventory.database.fetch("SELECT order_id FROM reservations WHERE status = 'open' ORDER BY order_id")
    return [row["order_id"] for row in rows]


async def waiting(inventory: Fed) -> list[str]:
    return [row["order_id"] for row in await inventory.database.fetch("SELECT order_id FROM backorders ORDER BY 1")]


async def test_an_order_waits_and_a_delivery_over_http_serves_it_in_its_own_story(inventory: Fed) -> None:
    order = new_id()
    story = await inventory.hear(patient(order, mcguffin=2))
    assert await names(inventory, order) == ["stock-backordered"]
    answer = await adjust(inventory, "mcguffin", change=3)
    assert (answer.json()["on_hand"], answer.json()["reserved"], answer.json()["available"]) == (3, 2, 1)
    assert await names(inventory, order) == ["stock-backordered", "stock-reserved"]
    rows = await inventory.database.fetch("SELECT correlationid FROM outbox WHERE aggregateid = $1", order)
    assert {row["correlationid"] for row in rows} == {story}
    assert await waiting(inventory) == []
    await assert_sound(inventory)


async def test_five_hundred_wait_and_three_hundred_are_served_in_order_while_fifty_cancel(inventory: Fed) -> None:
    orders = await wait_for(inventory, 500, mcguffin=1)
    assert (await waiting(inventory), await reserved(inventory)) == (orders, [])
    gone = orders[::10]
    cancelled = [inventory.record(*ended(order, "cancelled")) for order in gone]

    async def deliver() -> None:
        for _ in range(6):
            assert (await adjust(inventory, "mcguffin", change=50)).status_code == 200

    async def cancel(part: list[Any], partition: int) -> None:
        for record in part:
            await inventory.insist(record, partition=partition)

    await asyncio.gather(deliver(), cancel(cancelled[:25], 0), cancel(cancelled[25:], 1))
    kept = [order for order in orders if order not in gone]
    assert await reserved(inventory) == kept[:300]
    assert await waiting(inventory) == kept[300:]
    found = await level(inventory, "mcguffin")
    assert (found["on_hand"], found["reserved"], found["available"]) == (300, 300, 0)
    await assert_sound(inventory)


async def test_replicas_that_place_deliver_and_cancel_at_once_leave_nobody_waiting_who_need_not(inventory: Fed) -> None:
    await adjust(inventory, "cola", set=0)
    orders = [new_id() for _ in range(60)]
    kinds: list[dict[str, int]] = [{"mcguffin": 1}, {"cola": 1}, {"mcguffin": 1, "cola": 1}, {"cola": 2, "water": 1}]
    records = [inventory.record(*patient(order, **kinds[n % 4])) for n, order in enumerate(orders)]
    ends = [inventory.record(*ended(order, "cancelled")) for order in orders[::7]]

    async def deliver(sku: str) -> None:
        for _ in range(10):
            answer = await adjust(inventory, sku, change=2)
            assert answer.status_code in (200, 503), answer.text

    await asyncio.gather(
        inventory.insist(*records[::2], partition=0),
        inventory.insist(*records[1::2], partition=1),
        inventory.insist(*ends, partition=2),
        deliver("mcguffin"),
        deliver("cola"),
    )
    await assert_sound(inventory)
    # A delivery of nothing changes nothing: whoever can be served has been.
    before = await reserved(inventory), await waiting(inventory)
    for sku in ("mcguffin", "cola"):
        free = (await level(inventory, sku))["available"]
        await adjust(inventory, sku, change=1)
        await adjust(inventory, sku, change=-min(1, free))
    assert set(before[0]) <= set(await reserved(inventory))
    assert set(await reserved(inventory)).isdisjoint(await waiting(inventory))


async def test_who_begins_to_wait_while_a_delivery_looks_is_looked_at_again(inventory: Fed) -> None:
    """The delivery of one SKU has to lock what the order needs beside it, and did not know of that order yet."""
    order = new_id()
    await adjust(inventory, "cola", set=0)
    is_locked, may_go_on = asyncio.Event(), asyncio.Event()

    async def hold(tx: Tx) -> None:
        await moving.lock(tx, ["mcguffin"])
        is_locked.set()
        await may_go_on.wait()

    async def holding() -> None:
        async with inventory.database.transaction() as tx:
            await hold(tx)

    holder = asyncio.create_task(holding())
    await is_locked.wait()
    delivery = asyncio.create_task(_deliver(inventory, "mcguffin"))
    place = asyncio.create_task(inventory.insist(inventory.record(*patient(order, mcguffin=1, cola=1))))
    may_go_on.set()
    await asyncio.gather(holder, delivery, place)
    assert await waiting(inventory) == [order]
    await adjust(inventory, "cola", change=1)
    assert (await waiting(inventory), await reserved(inventory)) == ([], [order])


async def test_an_order_that_ended_without_being_seen_to_wait_is_passed_over(inventory: Fed) -> None:
    """A replica of an older release hears of the end, and knows nothing of those who wait."""
    gone, kept = await wait_for(inventory, 2, mcguffin=1)
    async with inventory.database.transaction() as tx:
        await store.save_reservations(tx, {}, {gone: Reservation((), "released")})
    assert (await adjust(inventory, "mcguffin", change=1)).status_code == 200
    assert (await waiting(inventory), await reserved(inventory)) == ([], [kept])
    assert "stock-reserved" not in await names(inventory, gone)
    await assert_sound(inventory)


async def test_a_sku_that_somebody_waits_for_is_not_retired(inventory: Fed) -> None:
    [order] = await wait_for(inventory, 1, mcguffin=1)
    await inventory.client.delete("/recipes/mcguffin")
    answer = await inventory.client.delete("/stock/mcguffin")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "1 orders wait for it: deliver it, or cancel them.",
    )
    await inventory.feed(ended(order, "cancelled"))
    assert await names(inventory, order) == ["stock-backordered", "backorder-withdrawn"]
    assert (await inventory.client.delete("/stock/mcguffin")).status_code == 204


async def test_items_are_told_short_when_one_more_cannot_be_made_and_again_when_it_can(inventory: Fed) -> None:
    await adjust(inventory, "ham", set=2)
    await inventory.client.put("/recipes/toast", json={"ingredients": [{"sku": "ham", "quantity": 2}]})
    assert await shortages(inventory, "ham") == []
    await inventory.feed(placed(new_id(), toast=1))
    told = [("ham", True), ("hawaiian", True), ("toast", True)]
    assert sorted(await shortages(inventory, "ham")) == told
    await adjust(inventory, "ham", change=1)
    assert sorted(await shortages(inventory, "ham")) == sorted([*told, ("ham", False), ("hawaiian", False)])
    await inventory.client.put("/recipes/toast", json={"ingredients": [{"sku": "cola", "quantity": 1}]})
    assert (await shortages(inventory, "ham"))[-1] == ("toast", False)


async def test_a_sku_that_is_added_with_nothing_of_it_is_told_when_some_comes(inventory: Fed) -> None:
    body = {"sku": "capers", "on_hand": 0, "threshold": 1, "ceiling": 10}
    assert (await inventory.client.post("/stock", json=body)).status_code == 201
    await adjust(inventory, "capers", change=1)
    await adjust(inventory, "capers", change=-1)
    assert await shortages(inventory, "capers") == [("capers", True), ("capers", False), ("capers", True)]


async def shortages(inventory: Fed, sku: str) -> list[tuple[str, bool]]:
    return [(data["item"], data["short"]) for kind, data in await inventory.published(sku) if kind == SHORTAGE]


async def _deliver(inventory: Fed, sku: str) -> None:
    """Add a piece; where somebody else changed the same rows meanwhile, again, as the answer (503) asks one to."""

    async def is_added() -> bool:
        answer = await adjust(inventory, sku, change=1)
        assert answer.status_code in (200, 503), answer.text
        return bool(answer.status_code == 200)

    await eventually(is_added, what="a delivery")
