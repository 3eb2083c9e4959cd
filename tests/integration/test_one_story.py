"""One correlation id follows an order from its placement to its end, whoever presses a button on the way."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from backbone.ids import new_id
from backbone.service import Service
from services.delivery.service import SERVICE as DELIVERY
from services.kitchen.service import SERVICE as KITCHEN
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.test_delivery import asked_to_cancel, pizza_baked
from tests.integration.test_delivery import confirmed as to_deliver
from tests.integration.test_kitchen import confirmed as to_bake
from tests.integration.test_orders import body, fact


@pytest.fixture
def service() -> Service[Any]:
    return KITCHEN


@pytest.fixture
async def heard(service: Service[Any], new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(service, new_database) as made:
        yield made


in_orders, in_delivery = (pytest.mark.parametrize("service", [each], ids=[each.name]) for each in (ORDERS, DELIVERY))


async def stories(service: Fed, key: str) -> set[str]:
    """The correlation ids of what was published about an order."""
    rows = await service.database.fetch("SELECT correlationid FROM outbox WHERE aggregateid = $1", key)
    return {row["correlationid"] for row in rows}


async def press(service: Fed, path: str, orders: Sequence[str] = (), **headers: str) -> str:
    """Press a button; returns the request's own correlation id."""
    content: dict[str, Any] = {"json": {"orders": orders}} if orders else {}
    answer = await service.client.post(path, headers=headers, **content)
    assert answer.status_code in (200, 202), answer.text
    return answer.headers["X-Correlation-Id"]


async def test_the_kitchens_buttons_go_on_with_the_orders_story(heard: Fed) -> None:
    order = new_id()
    story = await heard.hear(to_bake(order))
    for button in ("prepared", "baked"):
        assert await press(heard, f"/tickets/{order}/{button}") != story
    assert await stories(heard, order) == {story}


async def test_of_many_tickets_each_goes_on_with_its_own_story(heard: Fed) -> None:
    orders = [new_id(), new_id(), new_id()]
    told = [await heard.hear(to_bake(order)) for order in orders]
    await press(heard, "/tickets/prepared", orders)
    assert [await stories(heard, order) for order in orders] == [{story} for story in told]


async def test_an_id_that_the_client_names_is_the_requests_not_the_orders(heard: Fed) -> None:
    order, named = new_id(), new_id()
    story = await heard.hear(to_bake(order))
    assert await press(heard, f"/tickets/{order}/prepared", **{"X-Correlation-Id": named}) == named
    assert await stories(heard, order) == {story}


async def test_a_ticket_of_an_earlier_release_goes_on_under_the_requests_id(heard: Fed) -> None:
    order = new_id()
    await heard.hear(to_bake(order))
    await heard.database.fetch("UPDATE tickets SET correlationid = NULL")
    requests = await press(heard, f"/tickets/{order}/prepared")
    assert await stories(heard, order) == {requests}


@in_delivery
async def test_deliverys_buttons_go_on_with_the_orders_story(heard: Fed) -> None:
    order = new_id()
    story = await heard.hear(to_deliver(order, baked=False))
    for button in ("dispatched", "delivered"):
        await press(heard, f"/deliveries/{order}/{button}")
    assert await stories(heard, order) == {story}


@in_delivery
async def test_of_many_deliveries_each_goes_on_with_its_own_story(heard: Fed) -> None:
    orders = [new_id(), new_id()]
    told = [await heard.hear(to_deliver(order, baked=False, fulfilment="collection")) for order in orders]
    await press(heard, "/deliveries/collected", orders)
    assert [await stories(heard, order) for order in orders] == [{story} for story in told]


@in_delivery
async def test_an_order_that_delivery_hears_of_from_the_oven_has_its_story_too(heard: Fed) -> None:
    order = new_id()
    story = await heard.hear(pizza_baked(order))
    await heard.hear(to_deliver(order), story)
    await press(heard, f"/deliveries/{order}/dispatched")
    await heard.hear(asked_to_cancel(order), story)
    assert await stories(heard, order) == {story}


@in_orders
@pytest.mark.parametrize("is_confirmed", [False, True])
async def test_a_cancellation_goes_on_with_the_orders_story(heard: Fed, is_confirmed: bool) -> None:
    placed = await heard.client.post("/orders", json=body())
    order, story = placed.json()["id"], placed.headers["X-Correlation-Id"]
    for name in ("inventory.stock-reserved", "payments.payment-received") if is_confirmed else ():
        await heard.hear(fact(name, order), story)
    assert await press(heard, f"/orders/{order}/cancel") != story
    assert await stories(heard, order) == {story}


@in_orders
async def test_the_watch_over_an_order_goes_on_with_its_story(heard: Fed) -> None:
    placed = await heard.client.post("/orders", json=body(), headers={"X-Correlation-Id": (named := new_id())})
    order = placed.json()["id"]
    await heard.hear(fact("inventory.stock-reserved", order), named)
    [watch] = await heard.database.fetch("SELECT correlationid FROM jobs WHERE key = $1", order)
    assert {watch["correlationid"]} == await stories(heard, order) == {named}
