"""Inventory against a real database: orders come in as events, people over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import permutations
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from backbone.ids import new_id
from services.inventory import store
from services.inventory.decisions import Reservation
from services.inventory.events import StockLine
from services.inventory.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.issuing import by

PLACED = "sliceline.orders.order-placed.v1"
CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
MARGHERITA = ("basil", "dough", "mozzarella", "tomato-sauce")
Change = tuple[str, dict[str, Any]]


@pytest.fixture
async def inventory(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


def placed(order: str, **lines: int) -> Change:
    price = {"amount": 900, "currency": "GBP"}
    return PLACED, {
        "order": order,
        "customer": CUSTOMER,
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "lines": [
            {"item": item.replace("_", "-"), "quantity": quantity, "unit_price": price, "baked": False}
            for item, quantity in lines.items()
        ],
        "total": price,
    }


def ended(order: str, how: str) -> Change:
    data: dict[str, Any] = {"order": order, "customer": CUSTOMER, "reason": "changed my mind"}
    if how == "completed":
        data = {"order": order, "customer_id": "ada", "total": {"amount": 900, "currency": "GBP"}}
    return f"sliceline.orders.order-{how}.v1", data


async def level(inventory: Fed, sku: str) -> dict[str, Any]:
    found: dict[str, Any] = (await inventory.client.get(f"/stock/{sku}")).json()
    return found


async def adjust(inventory: Fed, sku: str, **body: Any) -> Any:
    body = {"channel": "shop-till", "reason": "sold over the counter"} | body
    return await inventory.client.post(f"/stock/{sku}/adjustments", json=body)


async def names(inventory: Fed, key: str) -> list[str]:
    return [event_type.split(".")[2] for event_type, _ in await inventory.published(key)]


async def assert_sound(inventory: Fed) -> None:
    """Reserved is what open reservations say; the rest is checked by the table itself."""
    query = text("""
        SELECT count(*) FROM stock FULL JOIN (
            SELECT line ->> 'sku' AS sku, sum((line ->> 'quantity')::bigint) AS reserved
            FROM reservations, jsonb_array_elements(lines) line WHERE status = 'open' GROUP BY 1
        ) promised USING (sku) WHERE stock.reserved IS DISTINCT FROM coalesce(promised.reserved, 0)
    """)
    async with inventory.database.reading() as connection:
        assert await connection.scalar(query) == 0


async def test_the_first_load_is_there(inventory: Fed) -> None:
    assert await level(inventory, "mcguffin") == {
        "sku": "mcguffin",
        "on_hand": 100,
        "reserved": 0,
        "available": 100,
        "sold": 0,
        "threshold": 10,
        "ceiling": 1000,
    }
    recipe = (await inventory.client.get("/recipes/margherita")).json()
    assert {each["sku"]: each["quantity"] for each in recipe["ingredients"]} == dict.fromkeys(MARGHERITA, 1)


async def test_an_order_reserves_what_its_recipes_say_and_tells_it(inventory: Fed) -> None:
    order = new_id()
    await inventory.feed(placed(order, margherita=2, marinara=1))
    lines = [
        {"sku": "basil", "quantity": 2},
        {"sku": "dough", "quantity": 3},
        {"sku": "garlic", "quantity": 1},
        {"sku": "mozzarella", "quantity": 2},
        {"sku": "tomato-sauce", "quantity": 4},
    ]
    reserved = ("sliceline.inventory.stock-reserved.v1", {"order": order, "lines": lines})
    assert await inventory.published(order) == [reserved]
    dough = await level(inventory, "dough")
    assert (dough["on_hand"], dough["reserved"], dough["available"]) == (5000, 3, 4997)
    [(event_type, change)] = await inventory.published("dough")
    assert event_type == "sliceline.inventory.stock-level-changed.v1"
    assert change == {
        "sku": "dough",
        "before": {"available": 5000},
        "after": {"available": 4997},
        "threshold": 500,
        "ceiling": 10000,
        "channel": "orders",
        "reason": f"order {order} placed",
    }


async def test_ninety_nine_in_stock_and_a_hundred_ordered_is_rejected_and_stock_untouched(inventory: Fed) -> None:
    await adjust(inventory, "mcguffin", set=99)
    before = await level(inventory, "mcguffin")
    order = new_id()
    await inventory.feed(placed(order, mcguffin=100, cola=1))
    [(event_type, rejected)] = await inventory.published(order)
    assert event_type == "sliceline.inventory.stock-rejected.v1"
    assert rejected["short"] == [{"sku": "mcguffin", "quantity": 100, "available": 99}]
    assert rejected["lines"] == [{"sku": "cola", "quantity": 1}, {"sku": "mcguffin", "quantity": 100}]
    assert await level(inventory, "mcguffin") == before
    assert (await level(inventory, "cola"))["reserved"] == 0
    assert await names(inventory, "cola") == []


async def test_an_item_that_is_neither_recipe_nor_sku_is_short_of_everything(inventory: Fed) -> None:
    order = new_id()
    await inventory.feed(placed(order, unicorn=1))
    [(_, rejected)] = await inventory.published(order)
    assert rejected["short"] == [{"sku": "unicorn", "quantity": 1, "available": 0}]


@pytest.mark.parametrize("how", ["rejected", "cancelled"])
async def test_an_order_that_ends_badly_gives_its_reservation_back(inventory: Fed, how: str) -> None:
    order = new_id()
    await inventory.feed(placed(order, cola=7))
    await inventory.feed(ended(order, how))
    cola = await level(inventory, "cola")
    assert (cola["on_hand"], cola["reserved"], cola["available"], cola["sold"]) == (5000, 0, 5000, 0)
    assert await names(inventory, order) == ["stock-reserved", "stock-released"]
    assert [data["reason"] for _, data in await inventory.published("cola")] == [
        f"order {order} placed",
        f"order {order} {how}",
    ]


async def test_a_completed_order_is_a_sale_and_what_is_available_stays(inventory: Fed) -> None:
    order = new_id()
    await inventory.feed(placed(order, cola=7), ended(order, "completed"))
    cola = await level(inventory, "cola")
    assert (cola["on_hand"], cola["reserved"], cola["available"], cola["sold"]) == (4993, 0, 4993, 7)
    assert await names(inventory, order) == ["stock-reserved"]
    assert await names(inventory, "cola") == ["stock-level-changed"]


async def test_an_end_that_comes_twice_or_without_a_reservation_does_nothing(inventory: Fed) -> None:
    order, stranger = new_id(), new_id()
    await inventory.feed(placed(order, cola=7))
    await inventory.feed(ended(order, "cancelled"), ended(order, "rejected"), ended(order, "completed"))
    await inventory.feed(ended(stranger, "cancelled"), ended(stranger, "completed"))
    assert await names(inventory, order) == ["stock-reserved", "stock-released"]
    assert await names(inventory, stranger) == []
    assert (await level(inventory, "cola"))["available"] == 5000


@pytest.mark.parametrize("how", ["cancelled", "rejected"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_an_order_that_is_heard_to_end_before_it_is_heard_of_reserves_nothing(
    inventory: Fed, how: str, at_once: bool
) -> None:
    order = new_id()
    events = [ended(order, how), placed(order, cola=7)]
    for batch in [events] if at_once else [[each] for each in events]:
        await inventory.feed(*batch)
    assert await names(inventory, order) == []
    found = await level(inventory, "cola")
    assert (found["available"], found["reserved"]) == (5000, 0)


async def test_an_order_that_is_heard_to_be_completed_before_it_is_heard_of_is_a_sale(inventory: Fed) -> None:
    order, large = new_id(), new_id()
    await inventory.feed(ended(order, "completed"), ended(large, "completed"))
    await inventory.feed(placed(order, cola=7), placed(large, cola=9999))
    found = await level(inventory, "cola")
    assert (found["on_hand"], found["reserved"], found["sold"]) == (4993, 0, 7)
    assert await names(inventory, order) == ["stock-reserved"]
    assert await names(inventory, large) == ["stock-rejected"]


async def test_replicas_that_hear_both_ends_of_an_order_at_once_leak_nothing(inventory: Fed) -> None:
    orders = [new_id() for _ in range(40)]
    halves = [[inventory.record(*placed(order, cola=1)) for order in orders]]
    halves += [[inventory.record(*ended(order, "cancelled")) for order in orders]]

    await asyncio.gather(*(inventory.insist(*half, partition=number) for number, half in enumerate(halves)))
    found = await level(inventory, "cola")
    assert (found["available"], found["reserved"]) == (5000, 0)


async def test_an_end_and_a_promise_that_another_replica_wrote_meanwhile_are_decided_again(inventory: Fed) -> None:
    promised = Reservation((StockLine("cola", 1),))
    for first, second in permutations([promised, Reservation((), "released"), Reservation((), "sold")], 2):
        order = new_id()
        async with inventory.database.transaction() as tx:
            await store.save_reservations(tx, {}, {order: first})
        if {first.status, second.status} != {"released", "sold"}:  # two ends are the same to whoever comes later
            with pytest.raises(asyncpg.SerializationError):
                await _save_unseen(inventory, order, second)


async def _save_unseen(inventory: Fed, order: str, reservation: Reservation) -> None:
    async with inventory.database.transaction() as tx:
        await store.save_reservations(tx, {}, {order: reservation})


async def test_the_same_occurrence_delivered_twice_reserves_once(inventory: Fed) -> None:
    record = inventory.record(*placed(new_id(), cola=7))
    await inventory.deliver(record, record)
    await inventory.deliver(record)
    assert (await level(inventory, "cola"))["reserved"] == 7


async def test_release_follows_the_reservation_and_not_a_recipe_that_changed_meanwhile(inventory: Fed) -> None:
    order = new_id()
    await inventory.feed(placed(order, marinara=3))
    recipe = {"ingredients": [{"sku": "ham", "quantity": 9}]}
    assert (await inventory.client.put("/recipes/marinara", json=recipe)).status_code == 200
    await inventory.feed(ended(order, "cancelled"))
    await assert_sound(inventory)
    assert [(await level(inventory, sku))["available"] for sku in ("dough", "garlic", "ham")] == [5000] * 3
    await inventory.feed(placed(new_id(), marinara=1))
    assert (await level(inventory, "ham"))["reserved"] == 9


async def test_a_thousand_orders_of_one_sku_with_stock_for_half_get_exactly_half(inventory: Fed) -> None:
    await adjust(inventory, "mcguffin", set=500)
    records = [inventory.record(*placed(new_id(), mcguffin=1)) for _ in range(1000)]
    began = time.monotonic()
    # Two partitions at once, each in batches of 250.
    await asyncio.gather(
        *(deliver_in_batches(inventory, records[half * 500 : half * 500 + 500], partition=half) for half in (0, 1))
    )
    assert time.monotonic() - began < 20
    mcguffin = await level(inventory, "mcguffin")
    assert (mcguffin["on_hand"], mcguffin["reserved"], mcguffin["available"]) == (500, 500, 0)
    assert await counted(inventory, "stock-reserved") == 500
    assert await counted(inventory, "stock-rejected") == 500
    await assert_sound(inventory)
    told = await inventory.published("mcguffin")
    levels = [data["after"]["available"] for kind, data in told if ".stock-level-changed." in kind]
    assert levels == [500, *range(499, -1, -1)]


async def deliver_in_batches(inventory: Fed, records: list[Any], partition: int) -> None:
    for start in range(0, len(records), 250):
        await inventory.deliver(*records[start : start + 250], partition=partition)


async def counted(inventory: Fed, name: str) -> int:
    query = text("SELECT count(*) FROM outbox WHERE type LIKE :like")
    async with inventory.database.reading() as connection:
        found: int = (await connection.execute(query, {"like": f"%.{name}.%"})).scalar_one()
    return found


async def test_batches_that_need_the_same_rows_in_another_order_never_deadlock(inventory: Fed) -> None:
    items = ["cola", "water", "lemonade", "margherita", "diavola"]

    async def work(partition: int) -> None:
        order_of_items = items if partition % 2 else items[::-1]
        for _ in range(5):
            orders = [new_id() for _ in items]
            feed = [placed(order, **{item: 1}) for order, item in zip(orders, order_of_items, strict=True)]
            feed += [ended(order, "cancelled") for order in orders[::2]]
            await inventory.deliver(*(inventory.record(*each) for each in feed), partition=partition)

    await asyncio.gather(*(work(partition) for partition in range(6)))
    await assert_sound(inventory)


async def test_orders_and_adjustments_at_once_never_sell_what_is_not_there(inventory: Fed) -> None:
    orders = [inventory.record(*placed(new_id(), mcguffin=3)) for _ in range(30)]
    answers, _ = await asyncio.gather(
        asyncio.gather(*(adjust(inventory, "mcguffin", change=-2) for _ in range(30))),
        deliver_in_batches(inventory, orders, partition=0),
    )
    taken = 2 * sum(answer.status_code == 200 for answer in answers)
    mcguffin = await level(inventory, "mcguffin")
    assert mcguffin["on_hand"] == 100 - taken
    assert mcguffin["reserved"] == 3 * await counted(inventory, "stock-reserved")
    assert mcguffin["available"] >= 0
    assert {answer.status_code for answer in answers} <= {200, 409}


async def test_the_database_itself_refuses_counts_that_do_not_add_up(inventory: Fed) -> None:
    for change in ("reserved = 101", "on_hand = 99", "sold = -1", "threshold = -1"):
        with pytest.raises(asyncpg.CheckViolationError):
            async with inventory.database.transaction() as tx:
                await tx.raw.execute(f"UPDATE stock SET {change} WHERE sku = 'mcguffin'")


async def test_an_adjustment_is_answered_with_the_new_level_and_told(inventory: Fed) -> None:
    answer = await adjust(inventory, "mcguffin", change=-5)
    assert answer.status_code == 200
    assert (answer.json()["on_hand"], answer.json()["available"]) == (95, 95)
    assert answer.json() == await level(inventory, "mcguffin")
    await adjust(inventory, "mcguffin", set=500, channel="supplier", reason="delivery 4711")
    told = [data for _, data in await inventory.published("mcguffin")]
    assert [(each["channel"], each["after"]["available"]) for each in told] == [("shop-till", 95), ("supplier", 500)]
    assert told[1]["before"] == {"available": 95}
    assert told[1]["reason"] == "delivery 4711"


async def test_an_adjustment_that_changes_nothing_is_not_told(inventory: Fed) -> None:
    assert (await adjust(inventory, "mcguffin", set=100)).status_code == 200
    assert (await adjust(inventory, "mcguffin", change=0)).status_code == 200
    assert await inventory.published("mcguffin") == []


async def test_an_adjustment_may_not_take_what_is_promised(inventory: Fed) -> None:
    await inventory.feed(placed(new_id(), mcguffin=40))
    for body in ({"change": -61}, {"set": 39}):
        answer = await adjust(inventory, "mcguffin", **body)
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["available"] == 60
    assert (await adjust(inventory, "mcguffin", change=-60)).json()["available"] == 0


async def test_an_adjustment_sent_ten_times_under_one_key_happens_once(inventory: Fed) -> None:
    body = {"change": -5, "channel": "shop-till", "reason": "sold"}
    send = [
        inventory.client.post("/stock/mcguffin/adjustments", json=body, headers={"Idempotency-Key": "till-1"})
        for _ in range(10)
    ]
    assert {answer.text for answer in await asyncio.gather(*send)} == {
        (
            await inventory.client.post("/stock/mcguffin/adjustments", json=body, headers={"Idempotency-Key": "till-1"})
        ).text
    }
    assert (await level(inventory, "mcguffin"))["on_hand"] == 95


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "set"),
        ({"change": 1, "set": 1}, "set"),
        ({"change": None, "set": None}, "set"),
        ({"change": 1.5}, "change"),
        ({"change": "1"}, "change"),
        ({"change": True}, "change"),
        ({"change": 10**10}, "change"),
        ({"set": -1}, "set"),
        ({"change": 1, "channel": ""}, "channel"),
        ({"change": 1, "channel": "Shop Till"}, "channel"),
        ({"change": 1, "reason": ""}, "reason"),
        ({"change": 1, "reason": "a\nb"}, "reason"),
        ({"change": 1, "reason": "a\x00b"}, "reason"),
        ({"change": 1, "by": "ada"}, "by"),
    ],
)
async def test_a_bad_adjustment_is_refused_by_field(inventory: Fed, body: dict[str, Any], field: str) -> None:
    answer = await adjust(inventory, "mcguffin", **body)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert (await level(inventory, "mcguffin"))["on_hand"] == 100


async def test_limits_are_set_one_by_one_and_told(inventory: Fed) -> None:
    answer = await inventory.client.patch("/stock/mcguffin", json={"threshold": 150})
    assert (answer.json()["threshold"], answer.json()["ceiling"]) == (150, 1000)
    await inventory.client.patch("/stock/mcguffin", json={"ceiling": 190})
    told = [data for _, data in await inventory.published("mcguffin")]
    assert [(each["threshold"], each["ceiling"]) for each in told] == [(150, 1000), (150, 190)]
    assert {each["after"]["available"] for each in told} == {100}
    assert {each["channel"] for each in told} == {"staff"}


@pytest.mark.parametrize("limits", [{"threshold": 50, "ceiling": 50}, {"threshold": 1000}, {"ceiling": 10}], ids=str)
async def test_the_ceiling_may_be_the_threshold(inventory: Fed, limits: dict[str, int]) -> None:
    answer = await inventory.client.patch("/stock/mcguffin", json=limits)
    assert answer.status_code == 200
    assert answer.json()["ceiling"] == answer.json()["threshold"]


async def test_limits_that_an_earlier_release_let_cross_are_mended_by_either(inventory: Fed) -> None:
    async with inventory.database.transaction() as tx:
        await tx.raw.execute("UPDATE stock SET threshold = 500, ceiling = 100 WHERE sku = ANY($1)", ["cola", "water"])
    assert (await adjust(inventory, "cola", change=1)).status_code == 200
    assert (await inventory.client.patch("/stock/cola", json={"threshold": 100})).status_code == 200
    assert (await inventory.client.patch("/stock/water", json={"ceiling": 500})).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ceiling"),
        ({"threshold": None}, "ceiling"),
        ({"threshold": -1}, "threshold"),
        ({"ceiling": 1.5}, "ceiling"),
        ({"ceiling": "9"}, "ceiling"),
        ({"on_hand": 9, "threshold": 1}, "on_hand"),
        ({"threshold": 5000, "ceiling": 4999}, "ceiling"),
        ({"threshold": 1, "ceiling": 0}, "ceiling"),
        ({"ceiling": 9}, "ceiling"),
        ({"threshold": 1001}, "threshold"),
    ],
)
async def test_bad_limits_are_refused_by_field(inventory: Fed, body: dict[str, Any], field: str) -> None:
    answer = await inventory.client.patch("/stock/mcguffin", json=body)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_what_is_not_kept_is_not_found(inventory: Fed) -> None:
    answers = [
        await inventory.client.get("/stock/unicorn"),
        await inventory.client.patch("/stock/unicorn", json={"threshold": 1}),
        await adjust(inventory, "unicorn", set=5),
        await inventory.client.get("/recipes/cola"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert "POST /stock" in answers[2].json()["detail"]


async def test_a_name_that_no_sku_can_have_is_refused(inventory: Fed) -> None:
    answer = await inventory.client.get("/stock/two words")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "sku")
    assert (await inventory.client.get("/stock/%00")).status_code == 400


async def test_stock_is_paged_by_sku(inventory: Fed) -> None:
    pages = []
    query: dict[str, Any] = {"limit": 7}
    while True:
        page = (await inventory.client.get("/stock", params=query)).json()
        pages.append([each["sku"] for each in page["items"]])
        if page["next"] is None:
            break
        query["after"] = page["next"]
    skus = [sku for page in pages for sku in page]
    assert [len(page) for page in pages] == [7, 7, 4]
    assert skus == sorted(set(skus))
    assert {"mcguffin", "cola", "dough"} <= set(skus)


async def test_of_stock_what_is_out_low_and_over_is_listed_by_itself(inventory: Fed) -> None:
    skus = {}
    for on_hand, standing in ((0, "out"), (1, "low"), (5, "low"), (6, None), (10, None), (11, "over")):
        body = {"sku": f"stands-{new_id()}", "on_hand": on_hand, "threshold": 5, "ceiling": 10}
        assert (await inventory.client.post("/stock", json=body)).status_code == 201
        skus[body["sku"]] = standing
    for standing in ("out", "low", "over"):
        page = await inventory.client.get("/stock", params={"standing": standing, "limit": 200})
        found = {level["sku"] for level in page.json()["items"]}
        assert found & {*skus} == {sku for sku, each in skus.items() if each == standing}
    assert (await inventory.client.get("/stock?standing=odd")).status_code == 422


async def test_a_recipe_is_put_whole(inventory: Fed) -> None:
    recipe = {"ingredients": [{"sku": "ham", "quantity": 2}, {"sku": "dough", "quantity": 1}]}
    answer = await inventory.client.put("/recipes/cola", json=recipe)
    assert answer.status_code == 200
    assert answer.json() == {"item": "cola", **recipe} == (await inventory.client.get("/recipes/cola")).json()
    shorter = {"ingredients": [{"sku": "cola", "quantity": 1}]}
    await inventory.client.put("/recipes/cola", json=shorter)
    assert (await inventory.client.get("/recipes/cola")).json()["ingredients"] == shorter["ingredients"]


@pytest.mark.parametrize(
    ("ingredients", "field"),
    [
        ([{"sku": "dough", "quantity": 1}, {"sku": "unicorn", "quantity": 1}], "ingredients.1.sku"),
        ([{"sku": "dough", "quantity": 0}], "ingredients.0.quantity"),
        ([{"sku": "dough", "quantity": 1.5}], "ingredients.0.quantity"),
        ([{"sku": "dough", "quantity": 1, "unit": "kg"}], "ingredients.0.unit"),
        ([{"sku": "dough", "quantity": 1}, {"sku": "dough", "quantity": 1}], "ingredients"),
        ([], "ingredients"),
    ],
)
async def test_a_bad_recipe_is_refused_by_field(inventory: Fed, ingredients: list[Any], field: str) -> None:
    answer = await inventory.client.put("/recipes/marinara", json={"ingredients": ingredients})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert len((await inventory.client.get("/recipes/marinara")).json()["ingredients"]) == 3


async def add(inventory: Fed, key: str | None = None, **changes: Any) -> httpx.Response:
    body = {"sku": "capers", "on_hand": 40, "threshold": 5, "ceiling": 1000} | changes
    headers = by("ann") | ({"Idempotency-Key": key} if key else {})
    return await inventory.client.post("/stock", json=body, headers=headers)


async def test_a_sku_that_is_added_is_kept_told_and_used_at_once(inventory: Fed) -> None:
    answer = await add(inventory)
    assert (answer.status_code, answer.headers["location"]) == (201, "/stock/capers")
    assert answer.json() == await level(inventory, "capers")
    assert [answer.json()[name] for name in ("on_hand", "threshold", "ceiling")] == [40, 5, 1000]
    [(_, told)] = await inventory.published("capers")
    assert "before" not in told
    assert (told["after"], told["channel"], told["reason"]) == ({"available": 40}, "staff", "added by ann")
    recipe = {"ingredients": [{"sku": "capers", "quantity": 3}, {"sku": "dough", "quantity": 1}]}
    assert (await inventory.client.put("/recipes/puttanesca", json=recipe)).status_code == 200
    await inventory.feed(placed(new_id(), puttanesca=2))
    assert (await level(inventory, "capers"))["available"] == 34
    await assert_sound(inventory)


async def test_a_sku_is_added_once_however_often_and_at_once_it_is_sent(inventory: Fed) -> None:
    answers = await asyncio.gather(*(add(inventory, on_hand=number) for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    key = new_id()
    first, second = [await add(inventory, key, sku="olives") for _ in range(2)]
    assert (first.status_code, second.content) == (201, first.content)
    assert len(await changes(inventory, "olives")) == len(await changes(inventory, "capers")) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"sku": "two words"}, "sku"),
        ({"on_hand": -1}, "on_hand"),
        ({"on_hand": 10**10}, "on_hand"),
        ({"threshold": None}, "threshold"),
        ({"ceiling": 4}, "ceiling"),
        ({"reserved": 1}, "reserved"),
    ],
    ids=str,
)
async def test_a_bad_sku_is_refused_by_field(inventory: Fed, wrong: dict[str, Any], field: str) -> None:
    answer = await add(inventory, **wrong)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert (await inventory.client.get("/stock/capers")).status_code == 404


async def test_a_sku_with_stock_reservations_or_a_recipe_is_not_retired(inventory: Fed) -> None:
    async def refused(sku: str) -> str:
        answer = await inventory.client.delete(f"/stock/{sku}")
        assert (answer.status_code, answer.json()["title"]) == (409, "SKU still needed")
        return str(answer.json()["detail"])

    assert "100 are on hand" in await refused("mcguffin")
    await inventory.feed(placed(new_id(), mcguffin=40))
    assert "40 of them reserved" in await refused("mcguffin")
    await adjust(inventory, "pineapple", set=0)
    assert "hawaiian" in await refused("pineapple")
    assert (await inventory.client.delete("/stock/unicorn")).status_code == 404


async def test_a_retired_sku_is_gone_and_its_name_can_be_added_again(inventory: Fed) -> None:
    order = new_id()
    await inventory.feed(placed(order, mcguffin=100))
    await inventory.feed(ended(order, "completed"))
    assert (await inventory.client.delete("/stock/mcguffin")).status_code == 204
    gone = [
        await inventory.client.get("/stock/mcguffin"),
        await inventory.client.delete("/stock/mcguffin"),
        await inventory.client.patch("/stock/mcguffin", json={"threshold": 1}),
        await adjust(inventory, "mcguffin", change=1),
    ]
    assert [answer.status_code for answer in gone] == [404] * 4
    recipe = {"ingredients": [{"sku": "mcguffin", "quantity": 1}]}
    assert (await inventory.client.put("/recipes/surprise", json=recipe)).status_code == 422
    listed = (await inventory.client.get("/stock", params={"limit": 200})).json()["items"]
    assert "mcguffin" not in [each["sku"] for each in listed]
    late = new_id()
    await inventory.feed(placed(late, mcguffin=1))
    assert await names(inventory, late) == ["stock-rejected"]

    again = await add(inventory, sku="mcguffin", on_hand=7)
    assert (again.status_code, again.json()["on_hand"], again.json()["sold"]) == (201, 7, 100)
    assert "before" not in (await inventory.published("mcguffin"))[-1][1]
    await inventory.feed(placed(new_id(), mcguffin=7))
    await assert_sound(inventory)


async def changes(inventory: Fed, key: str) -> list[tuple[str, dict[str, Any]]]:
    """What was told under a key, but for items that became short of it."""
    return [each for each in await inventory.published(key) if ".item-shortage-changed." not in each[0]]


async def test_what_becomes_of_skus_and_recipes_is_told_with_who_did_it(inventory: Fed) -> None:
    ann = by("ann")
    first, second = ({"ingredients": [{"sku": "dough", "quantity": number}]} for number in (1, 2))
    for recipe in (first, first, second):
        assert (await inventory.client.put("/recipes/focaccia", json=recipe, headers=ann)).status_code == 200
    assert (await inventory.client.delete("/recipes/focaccia", headers=ann)).status_code == 204
    item = {"item": "focaccia", "by": "ann"}
    assert await changes(inventory, "focaccia") == [
        ("sliceline.inventory.recipe-changed.v1", {**item, "after": first}),
        ("sliceline.inventory.recipe-changed.v1", {**item, "before": first, "after": second}),
        ("sliceline.inventory.recipe-changed.v1", {**item, "before": second}),
    ]
    await add(inventory, on_hand=0)
    assert (await inventory.client.delete("/stock/capers", headers=ann)).status_code == 204
    assert (await changes(inventory, "capers"))[1:] == [
        ("sliceline.inventory.sku-retired.v1", {"sku": "capers", "by": "ann"})
    ]


async def test_a_new_recipe_that_is_put_twice_at_once_is_new_once(inventory: Fed) -> None:
    recipes = [{"ingredients": [{"sku": sku, "quantity": 1}]} for sku in ("dough", "ham", "basil", "garlic")]
    answers = await asyncio.gather(*(inventory.client.put("/recipes/focaccia", json=each) for each in recipes))
    assert {answer.status_code for answer in answers} == {200}
    told = [data for _, data in await changes(inventory, "focaccia")]
    assert "before" not in told[0]
    assert [each.get("before") for each in told[1:]] == [each["after"] for each in told[:-1]]
    assert len(told) == 4


async def test_a_sku_and_a_recipe_that_needs_it_are_never_both_settled_at_once(inventory: Fed) -> None:
    await adjust(inventory, "mcguffin", set=0)
    recipe = {"ingredients": [{"sku": "mcguffin", "quantity": 1}]}
    put, retired = await asyncio.gather(
        inventory.client.put("/recipes/surprise", json=recipe), inventory.client.delete("/stock/mcguffin")
    )
    assert (put.status_code, retired.status_code) in ((200, 409), (422, 204))


async def test_a_recipe_that_is_retired_leaves_what_is_reserved_as_it_is(inventory: Fed) -> None:
    order = new_id()
    await inventory.feed(placed(order, marinara=3))
    assert (await inventory.client.delete("/recipes/marinara")).status_code == 204
    assert (await inventory.client.get("/recipes/marinara")).status_code == 404
    assert (await inventory.client.delete("/recipes/marinara")).status_code == 404
    await inventory.feed(ended(order, "cancelled"))
    assert (await level(inventory, "garlic"))["available"] == 5000
    without = new_id()
    await inventory.feed(placed(without, marinara=1))
    assert await names(inventory, without) == ["stock-rejected"]  # nothing is kept under the item's own name
    await assert_sound(inventory)


@pytest.mark.long
async def test_the_release_before_goes_on_with_stock_on_the_new_tables(inventory: Fed) -> None:
    """It names the columns that it knew, and a SKU that it adds is kept."""
    async with inventory.database.transaction() as tx:
        await tx.raw.execute(
            "INSERT INTO stock (sku, on_hand, reserved, sold, initial, adjusted, threshold, ceiling)"
            " VALUES ('capers', 5, 0, 0, 5, 0, 1, 9)"
        )
    assert (await level(inventory, "capers"))["available"] == 5
