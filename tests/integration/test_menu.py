"""The menu on a real database: the staff changes it over HTTP, and orders are placed by what it says."""

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import asyncpg
import httpx
import pytest
from alembic import command
from msgspec.structs import replace

from backbone.ids import new_id
from backbone.storage import migrations
from backbone.values.amounts import LARGEST_PRICE, LARGEST_TOTAL
from services.orders import menu
from services.orders.placing import forget_menu
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Data, Fed, fed, until_a_lock_is_awaited
from tests.integration.test_orders import all_pages, body, confirmed, document, fact, placed
from tests.issuing import by

CHANGED = "sliceline.orders.menu-item-changed.v1"
ADDED = "sliceline.orders.menu-item-added.v1"
CALZONE: dict[str, Any] = {
    "item": "calzone",
    "name": "Calzone",
    "unit_price": {"amount": 1350, "currency": "GBP"},
    "baked": True,
    "description": "Folded.",
    "category": "pizza",
}


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


@pytest.fixture(scope="module")
def one_database(new_database: NewDatabase) -> NewDatabase:
    """Always the same database, for those who store nothing."""
    return cache(new_database)


@pytest.fixture
async def refusing(one_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, one_database) as service:
        yield service


async def add(orders: Fed, key: str | None = None, **changes: Any) -> httpx.Response:
    headers = by("ann") | ({"Idempotency-Key": key} if key else {})
    return await orders.client.post("/menu", json=CALZONE | changes, headers=headers)


async def change(orders: Fed, item: str, **changes: Any) -> httpx.Response:
    return await orders.client.patch(f"/menu/{item}", json=changes, headers=by("ann"))


async def retire(orders: Fed, item: str) -> httpx.Response:
    return await orders.client.delete(f"/menu/{item}", headers=by("ann"))


async def order(orders: Fed, *items: str) -> httpx.Response:
    return await orders.client.post("/orders", json=body(lines=[{"item": item, "quantity": 1} for item in items]))


def refused(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


async def test_an_item_that_is_added_is_listed_and_can_be_ordered_at_once(orders: Fed) -> None:
    assert refused(await order(orders, "calzone")) == {"lines.0.item": "is not on the menu"}
    answer = await add(orders)
    assert (answer.status_code, answer.headers["location"]) == (201, "/menu/calzone")
    shown = CALZONE | {"picture": "/menu/calzone/picture", "sold_out": False, "hidden": False}
    shown |= {"out_of_stock": False, "back_orderable": False}
    assert answer.json() == shown == (await orders.client.get("/menu/calzone")).json()
    assert "calzone" in await all_pages(orders, "/menu", "item")
    accepted = await order(orders, "calzone")
    assert (accepted.status_code, accepted.json()["total"]["amount"]) == (202, 1350)


async def test_every_change_is_told_with_what_was_and_what_is(orders: Fed) -> None:
    await add(orders)
    await change(orders, "calzone", unit_price={"amount": 1400, "currency": "GBP"}, description=None)
    await change(orders, "calzone", unit_price={"amount": 1400, "currency": "GBP"})  # as it is
    await retire(orders, "calzone")
    told = await orders.published("calzone")
    of_their_own = [f"sliceline.orders.menu-item-{what}" for what in ("added.v1", "changed.v2", "retired.v1")]
    assert [event_type for event_type, _ in told] == [each for new in of_their_own for each in (CHANGED, new)]
    added, priced, gone = (data for event_type, data in told if event_type == CHANGED)
    was, became, ended = (data for event_type, data in told if event_type != CHANGED)
    assert [sorted(each) for each in (was, ended)] == [["after", "by", "item"], ["before", "by", "item"]]
    assert became["changed"] == ["description", "unit_price"]
    assert (became["before"], became["after"]) == (was["after"], ended["before"])
    assert "before" not in added
    assert (added["after"]["unit_price"]["amount"], added["by"]) == (1350, "ann")
    assert (priced["before"], priced["after"]["description"]) == (added["after"], None)
    assert (gone["before"], gone["after"]) == (priced["after"], priced["after"] | {"retired": True})


async def test_an_event_that_would_break_its_contract_fails_its_command_with_the_field_and_stores_nothing(
    orders: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = menu._state
    monkeypatch.setattr(menu, "_state", lambda item: replace(told(item), category="x" * 41))
    before = (await orders.client.get("/menu/cola")).json()
    answer = await orders.client.patch("/menu/cola", json={"sold_out": True}, headers={"Idempotency-Key": "k"})
    problem = answer.json()
    assert (answer.status_code, problem["title"]) == (500, "Contract broken")
    assert {each["field"] for each in problem["errors"]} == {"before.category", "after.category"}
    assert "x" * 41 not in answer.text
    assert (await orders.client.get("/menu/cola")).json() == before
    assert await orders.published("cola") == []
    monkeypatch.undo()
    again = await orders.client.patch("/menu/cola", json={"sold_out": True}, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["sold_out"]) == (200, True)  # a failure is kept under no key


async def test_an_order_keeps_the_prices_it_was_placed_at(orders: Fed) -> None:
    before = await placed(orders)
    assert (await change(orders, "margherita", unit_price={"amount": 1300, "currency": "GBP"})).status_code == 200
    after = await placed(orders)
    totals = [(await document(orders, each))["total"]["amount"] for each in (before, after)]
    assert totals == [2400, 2600]
    prices = [(await document(orders, each))["lines"][0]["unit_price"]["amount"] for each in (before, after)]
    assert prices == [1200, 1300]
    [(_, told)] = await orders.published(before)
    assert told["total"]["amount"] == 2400


async def test_orders_taken_while_a_price_changes_are_each_of_one_price(orders: Fed) -> None:
    lines = [{"item": item, "quantity": 1} for item in ("margherita", "water", "margherita")]
    for price in range(1300, 1310):
        taking = asyncio.gather(*(placed(orders, lines=lines) for _ in range(8)))
        changed = await change(orders, "margherita", unit_price={"amount": price, "currency": "GBP"})
        assert changed.status_code == 200
        for each in [await document(orders, accepted) for accepted in await taking]:
            prices = [line["unit_price"]["amount"] for line in each["lines"]]
            assert prices[0] == prices[2]
            assert prices[0] in (1200, price - 1, price)
            assert each["total"]["amount"] == sum(prices)
        assert (await order(orders, "margherita")).json()["total"]["amount"] == price


async def test_a_menu_that_changes_while_it_is_read_is_not_remembered(orders: Fed) -> None:
    async with orders.database.transaction() as tx:
        await tx.raw.execute("LOCK TABLE menu")
        reading = asyncio.create_task(order(orders, "cola"))
        await until_a_lock_is_awaited(orders.database)
        forget_menu(orders.database.for_queries)  # as whoever changed it does
    assert (await reading).status_code == 202
    await orders.database.fetch("UPDATE menu SET price = 333 WHERE item = 'cola'")
    assert (await order(orders, "cola")).json()["total"]["amount"] == 333


async def test_an_order_goes_on_when_its_item_is_retired_meanwhile(orders: Fed) -> None:
    open_order = await confirmed(orders)
    assert (await retire(orders, "margherita")).status_code == 204
    await orders.feed(
        fact("kitchen.pizza-prepared", open_order),
        fact("kitchen.pizza-baked", open_order),
        fact("delivery.order-delivered", open_order),
    )
    shown = await document(orders, open_order)
    assert (shown["status"], shown["lines"][0]["item"]) == ("completed", "margherita")
    assert refused(await order(orders, "margherita")) == {"lines.0.item": "is not on the menu"}
    refund = await orders.client.post(f"/orders/{open_order}/refunds", json={"reason": "cold"})
    assert refund.status_code == 202


async def test_what_cannot_be_ordered_is_named_by_line_with_its_reason(orders: Fed) -> None:
    await change(orders, "cola", hidden=True)
    await change(orders, "water", sold_out=True)
    await retire(orders, "lemonade")
    assert refused(await order(orders, "margherita", "cola", "water", "lemonade")) == {
        "lines.1.item": "is not on the menu",
        "lines.2.item": "is sold out",
        "lines.3.item": "is not on the menu",
    }
    await change(orders, "cola", hidden=False)
    await change(orders, "water", sold_out=False)
    assert (await order(orders, "cola", "water")).status_code == 202


async def test_customers_see_what_is_sold_out_and_only_the_staff_what_is_hidden(orders: Fed) -> None:
    await change(orders, "cola", hidden=True)
    await change(orders, "water", sold_out=True)
    await retire(orders, "lemonade")
    shown = {each["item"]: each for each in (await orders.client.get("/menu")).json()["items"]}
    assert shown["water"]["sold_out"]
    assert not {"cola", "lemonade"} & shown.keys()
    assert "cola" in await all_pages(orders, "/menu", "item", hidden="true")
    assert "lemonade" not in await all_pages(orders, "/menu", "item", hidden="true")
    assert (await orders.client.get("/menu/cola")).json()["hidden"]


async def test_a_retired_item_is_gone_and_its_name_can_be_added_again(orders: Fed) -> None:
    assert (await retire(orders, "cola")).status_code == 204
    gone = [
        await orders.client.get("/menu/cola"),
        await change(orders, "cola", hidden=True),
        await retire(orders, "cola"),
    ]
    assert [answer.status_code for answer in gone] == [404] * 3
    answer = await add(orders, item="cola", name="Another cola", baked=False)
    assert (answer.status_code, answer.json()["name"], answer.json()["description"]) == (201, "Another cola", "Folded.")
    *_, (_, of_version_1), (_, added) = await orders.published("cola")
    assert not {"before"} & {*of_version_1, *added}
    assert (await order(orders, "cola")).status_code == 202


async def test_a_name_is_added_once_however_often_and_at_once_it_is_sent(orders: Fed) -> None:
    answers = await asyncio.gather(*(add(orders, name=f"Calzone {number}") for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {answer.json()["title"] for answer in answers if answer.status_code == 409} == {"Item exists"}
    key = new_id()
    first, second = [await add(orders, key, item="panzerotti") for _ in range(2)]
    assert (first.status_code, second.content) == (201, first.content)
    assert [event_type for event_type, _ in await orders.published("panzerotti")] == [CHANGED, ADDED]


async def test_changes_at_once_lose_nothing(orders: Fed) -> None:
    answers = await asyncio.gather(
        change(orders, "cola", sold_out=True),
        change(orders, "cola", description="Warm."),
        change(orders, "cola", category="soft drinks"),
        change(orders, "cola", unit_price={"amount": 1, "currency": "GBP"}),
    )
    assert {answer.status_code for answer in answers} == {200}
    cola = (await orders.client.get("/menu/cola")).json()
    assert (cola["sold_out"], cola["description"], cola["category"]) == (True, "Warm.", "soft drinks")
    assert cola["unit_price"]["amount"] == 1
    told = [data for event_type, data in await orders.published("cola") if event_type == CHANGED]
    assert [each["before"] for each in told[1:]] == [each["after"] for each in told[:-1]]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"item": "two words"}, "item"),
        ({"item": "../etc"}, "item"),
        ({"item": "x" * 65}, "item"),
        ({"name": "Cal\nzone"}, "name"),
        ({"name": ""}, "name"),
        ({"unit_price": {"amount": 0, "currency": "GBP"}}, "unit_price.amount"),
        ({"unit_price": {"amount": LARGEST_PRICE + 1, "currency": "GBP"}}, "unit_price.amount"),
        ({"unit_price": {"amount": 2**63, "currency": "GBP"}}, "unit_price.amount"),
        ({"unit_price": {"amount": 12.5, "currency": "GBP"}}, "unit_price.amount"),
        ({"unit_price": {"amount": "12", "currency": "GBP"}}, "unit_price.amount"),
        ({"unit_price": {"amount": 12, "currency": "EUR"}}, "unit_price.currency"),
        ({"unit_price": 1200}, "unit_price"),
        ({"unit_price": None}, "unit_price"),
        ({"baked": "yes"}, "baked"),
        ({"hidden": 1}, "hidden"),
        ({"description": "x" * 501}, "description"),
        ({"category": ""}, "category"),
        ({"picture": "http://elsewhere.example/x.svg"}, "picture"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_an_item_is_named_and_nothing_is_stored(
    refusing: Fed, wrong: dict[str, Any], field: str
) -> None:
    answer = await refusing.client.post("/menu", json=CALZONE | wrong)
    assert field in refused(answer)
    assert (await refusing.client.get("/menu/calzone")).status_code == 404
    if "item" not in wrong:
        assert field in refused(await change(refusing, "cola", **wrong))
        assert await refusing.published("cola") == []


async def test_a_change_of_nothing_is_refused(refusing: Fed) -> None:
    assert refused(await change(refusing, "cola")) == {"body": "must name at least one thing to change"}
    assert "item" in refused(await refusing.client.patch("/menu/cola", json={"item": "pepsi"}))


async def test_the_largest_price_can_be_ordered_up_to_the_largest_total(orders: Fed) -> None:
    await add(orders, item="gold", unit_price={"amount": LARGEST_PRICE, "currency": "GBP"}, baked=False)
    most = LARGEST_TOTAL // LARGEST_PRICE
    accepted = await document(orders, await placed(orders, lines=[{"item": "gold", "quantity": most}]))
    assert accepted["total"]["amount"] == LARGEST_TOTAL
    lines = [{"item": "gold", "quantity": most}, {"item": "water", "quantity": 1}]
    answer = await orders.client.post("/orders", json=body(lines=lines))
    assert refused(answer) == {"lines": "must not come to more than 100000000.00 GBP"}
    lines = [{"item": "gold", "quantity": 1000}] * 50
    assert "lines" in refused(await orders.client.post("/orders", json=body(lines=lines)))


async def test_a_picture_is_served_safely_and_kept_by_its_tag(orders: Fed) -> None:
    await add(orders, name="<b>Calzone</b> & co")
    first = await orders.client.get("/menu/calzone/picture")
    assert (first.status_code, first.headers["content-type"]) == (200, "image/svg+xml")
    assert "<b>" not in first.text
    assert first.headers["content-security-policy"].startswith("default-src 'none'")
    assert "max-age" in first.headers["cache-control"]
    tag = first.headers["etag"]
    for asked in (tag, f"W/{tag}", f'"another", {tag}'):
        again = await orders.client.get("/menu/calzone/picture", headers={"If-None-Match": asked})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await change(orders, "calzone", name="Calzone")
    renamed = await orders.client.get("/menu/calzone/picture", headers={"If-None-Match": tag})
    assert renamed.status_code == 200
    await retire(orders, "calzone")
    assert (await orders.client.get("/menu/calzone/picture")).status_code == 200
    assert (await orders.client.get("/menu/brick/picture")).status_code == 404


async def test_the_release_before_reads_the_menu_of_this_one(orders: Fed) -> None:
    """It names the columns that it knew, and fills no others."""
    await add(orders)
    async with orders.database.transaction() as tx:
        await tx.raw.execute("INSERT INTO menu (item, name, price, baked) VALUES ('pinsa', 'Pinsa', 900, true)")
        known = await tx.raw.fetch("SELECT menu.item, menu.name, menu.price, menu.baked FROM menu ORDER BY menu.item")
    assert {"calzone", "pinsa"} <= {row["item"] for row in known}
    pinsa = (await orders.client.get("/menu/pinsa")).json()
    assert (pinsa["description"], pinsa["category"], pinsa["sold_out"]) == (None, None, False)


async def test_an_upgrade_keeps_the_menu_s_prices_and_describes_its_items(new_database: NewDatabase) -> None:
    url = await asyncio.to_thread(new_database, "orders")
    await asyncio.to_thread(command.downgrade, migrations.config_of("orders", url), "orders_0002")
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE menu SET price = 1250 WHERE item = 'margherita'")
    await asyncio.to_thread(migrations.upgrade, "orders", url)
    [row] = await connection.fetch("SELECT price, category, hidden FROM menu WHERE item = 'margherita'")
    await connection.close()
    assert tuple(row) == (1250, "pizza", False)


async def test_an_order_that_was_accepted_is_answered_again_though_its_item_is_sold_out_by_now(orders: Fed) -> None:
    asked = body(lines=[{"item": "cola", "quantity": 1}])
    headers = {"Idempotency-Key": new_id()}
    first = await orders.client.post("/orders", json=asked, headers=headers)
    await change(orders, "cola", sold_out=True)
    again = await orders.client.post("/orders", json=asked, headers=headers)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert refused(await orders.client.post("/orders", json=asked)) == {"lines.0.item": "is sold out"}
    other = body(lines=[{"item": "cola", "quantity": 2}])
    reused = await orders.client.post("/orders", json=other, headers=headers)
    assert (reused.status_code, reused.json()["title"]) == (422, "Idempotency key reused")
    fresh = {"Idempotency-Key": new_id()}
    assert refused(await orders.client.post("/orders", json=asked, headers=fresh))
    await change(orders, "cola", sold_out=False)
    assert (await orders.client.post("/orders", json=asked, headers=fresh)).status_code == 202


SHORTAGE = "sliceline.inventory.item-shortage-changed.v1"


def shortage(item: str, sku: str, short: bool) -> tuple[str, Data]:
    return SHORTAGE, {"item": item, "sku": sku, "short": short}


async def test_an_item_is_out_of_stock_while_it_is_short_of_anything(orders: Fed) -> None:
    await orders.feed(shortage("cola", "cola", True), shortage("cola", "ice", True), shortage("anything", "ham", True))
    for left in ("ice", "cola"):
        assert (await orders.client.get("/menu/cola")).json()["out_of_stock"]
        assert [item for item in await menu_items(orders) if item["out_of_stock"]] == [(await shown(orders, "cola"))]
        await orders.feed(shortage("cola", left, True), shortage("cola", left, False))
    assert not (await shown(orders, "cola"))["out_of_stock"]


async def test_an_item_for_which_customers_wait_can_be_ordered_out_of_stock(orders: Fed) -> None:
    answer = await change(orders, "cola", back_orderable=True)
    assert (answer.json()["back_orderable"], answer.json()["out_of_stock"]) == (True, False)
    await orders.feed(shortage("cola", "cola", True))
    assert (await change(orders, "cola", sold_out=False)).json()["out_of_stock"]
    accepted = await order(orders, "cola", "water")
    assert accepted.status_code == 202
    [(_, told)] = await orders.published(accepted.json()["id"])
    assert told["back_orderable"] == ["cola"]


async def shown(orders: Fed, item: str) -> dict[str, Any]:
    found: dict[str, Any] = (await orders.client.get(f"/menu/{item}")).json()
    return found


async def menu_items(orders: Fed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await orders.client.get("/menu", params={"limit": 100})).json()["items"]
    return found
