import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backbone.ids import new_id
from services.delivery import decisions, store
from services.delivery.events import OrderCancellationRequested
from services.delivery.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, until_a_lock_is_awaited
from tests.issuing import by

CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
Event = tuple[str, dict[str, Any]]


@pytest.fixture
async def delivery(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


def confirmed(order: str, *, baked: bool = True, fulfilment: str = "delivery") -> Event:
    price = {"amount": 900, "currency": "GBP"}
    return "sliceline.orders.order-confirmed.v2", {
        "order": order,
        "customer": CUSTOMER,
        "fulfilment": fulfilment,
        "address": "1 Mill Lane" if fulfilment == "delivery" else None,
        "lines": [{"item": "margherita", "quantity": 1, "unit_price": price, "baked": baked}],
        "total": price,
    }


def pizza_baked(order: str) -> Event:
    return "sliceline.kitchen.pizza-baked.v1", {"order": order, "by": "ann"}


def asked_to_cancel(order: str) -> Event:
    data = {"order": order, "customer": CUSTOMER, "reason": "changed my mind"}
    return "sliceline.orders.order-cancellation-requested.v1", data


def cancelled(order: str) -> Event:
    return "sliceline.orders.order-cancelled.v1", {"order": order, "customer": CUSTOMER, "reason": "changed my mind"}


async def press(delivery: Fed, order: str, button: str, who: str = "cem") -> int:
    answer = await delivery.client.post(f"/deliveries/{order}/{button}", headers=by(who))
    return answer.status_code


async def listed(delivery: Fed, status: str | None = None) -> list[tuple[str, str]]:
    answer = await delivery.client.get("/deliveries", params={"status": status} if status else {})
    return [(item["order"], item["status"]) for item in answer.json()["items"]]


async def told(delivery: Fed, order: str) -> list[str]:
    return [event_type.split(".")[2] for event_type, _ in await delivery.published(order)]


async def test_confirmed_and_baked_is_open_in_whatever_order_it_was_learnt(delivery: Fed) -> None:
    first, second = new_id(), new_id()
    await delivery.feed(confirmed(first), pizza_baked(second))
    assert await listed(delivery, "open") == []
    assert await listed(delivery) == [(first, "waiting")]
    await delivery.feed(pizza_baked(first), confirmed(second))
    assert await listed(delivery, "open") == [(first, "ready"), (second, "ready")]


async def test_both_facts_in_one_batch_are_enough(delivery: Fed) -> None:
    orders = [new_id() for _ in range(20)]
    await delivery.feed(*map(pizza_baked, reversed(orders)), *map(confirmed, orders))
    assert await listed(delivery, "ready") == [(order, "ready") for order in orders]


async def test_two_replicas_that_learn_of_the_same_orders_wait_for_each_other_in_one_order(delivery: Fed) -> None:
    async def learn(orders: list[str]) -> None:
        async with delivery.database.transaction() as tx:
            await store.begin_all(tx, orders)

    for _ in range(5):
        orders = [new_id() for _ in range(3000)]
        await asyncio.gather(learn(orders), learn(orders[::-1]), learn(orders + orders))


async def test_a_delivery_shows_what_a_courier_needs(delivery: Fed) -> None:
    order = new_id()
    await delivery.feed(confirmed(order, baked=False))
    (item,) = (await delivery.client.get("/deliveries")).json()["items"]
    assert item.pop("created_at").endswith("Z")
    assert item == {
        "order": order,
        "status": "ready",
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "customer_name": "Ada",
        "by": None,
    }


async def test_a_courier_takes_it_to_the_customer(delivery: Fed) -> None:
    order = new_id()
    await delivery.feed(confirmed(order), pizza_baked(order))
    assert await press(delivery, order, "delivered") == 409
    assert await press(delivery, order, "dispatched", "cem") == 200
    assert await listed(delivery, "open") == [(order, "dispatched")]
    assert await press(delivery, order, "delivered", "dee") == 200
    assert await delivery.published(order) == [
        ("sliceline.delivery.order-dispatched.v1", {"order": order, "by": "cem"}),
        ("sliceline.delivery.order-delivered.v1", {"order": order, "by": "dee"}),
    ]
    assert await listed(delivery, "open") == []


async def test_a_customer_comes_for_it_and_is_served_once(delivery: Fed) -> None:
    order = new_id()
    await delivery.feed(confirmed(order, fulfilment="collection"), pizza_baked(order))
    assert await press(delivery, order, "dispatched") == 409
    assert {await press(delivery, order, "collected"), await press(delivery, order, "collected")} == {200}
    assert await told(delivery, order) == ["order-collected"]


async def test_what_is_not_ready_or_not_known_is_not_dispatched(delivery: Fed) -> None:
    waiting, only_baked = new_id(), new_id()
    await delivery.feed(confirmed(waiting), pizza_baked(only_baked))
    assert await press(delivery, waiting, "dispatched") == 409
    assert await press(delivery, only_baked, "dispatched") == 404
    assert await press(delivery, new_id(), "dispatched") == 404


async def test_where_something_is_baked_the_kitchen_decides_about_cancelling(delivery: Fed) -> None:
    order = new_id()
    await delivery.feed(confirmed(order), asked_to_cancel(order))
    assert (await listed(delivery), await told(delivery, order)) == ([(order, "waiting")], [])
    await delivery.feed(cancelled(order))
    assert (await listed(delivery), await told(delivery, order)) == ([(order, "cancelled")], [])


async def test_where_nothing_is_baked_it_is_cancelled_here(delivery: Fed) -> None:
    order = new_id()
    await delivery.feed(confirmed(order, baked=False), asked_to_cancel(order), cancelled(order))
    assert await press(delivery, order, "dispatched") == 409
    assert await delivery.published(order) == [
        ("sliceline.delivery.delivery-cancelled.v1", {"order": order, "by": "delivery"})
    ]


async def test_a_button_pressed_while_cancelling_waits_and_loses(delivery: Fed) -> None:
    order = new_id()
    await delivery.feed(confirmed(order, baked=False))
    async with delivery.database.transaction() as tx:
        known = await store.begin_all(tx, [order])
        decision = decisions.cancellation_requested(known[order], OrderCancellationRequested(order=order))
        await store.save_all(tx, [decision.state])
        tx.apply(decision, key=order)
        pressing = asyncio.create_task(press(delivery, order, "dispatched"))
        await until_a_lock_is_awaited(delivery.database)
    assert await pressing == 409
    assert await told(delivery, order) == ["delivery-cancelled"]


async def test_pressing_and_cancelling_at_once_never_both_win(delivery: Fed) -> None:
    orders = [new_id() for _ in range(30)]
    await delivery.feed(*(confirmed(order, baked=False) for order in orders))
    presses = [press(delivery, order, "dispatched") for order in orders]
    cancelling = asyncio.create_task(delivery.feed(*map(asked_to_cancel, orders)))
    answers = await asyncio.gather(*presses)
    await cancelling
    for order, status in zip(orders, answers, strict=True):
        expected = ["order-dispatched", "cancellation-refused"] if status == 200 else ["delivery-cancelled"]
        assert await told(delivery, order) == expected


async def test_a_courier_takes_several_along_and_is_told_which_stay(delivery: Fed) -> None:
    orders, unknown = [new_id() for _ in range(3)], new_id()
    await delivery.feed(*(confirmed(order, baked=False) for order in orders))
    assert await press(delivery, orders[2], "dispatched") == 200
    for button, moved in ("dispatched", orders), ("delivered", orders[1:]):
        body = {"orders": [*moved, unknown]}
        answer = (await delivery.client.post(f"/deliveries/{button}", json=body)).json()
        assert {each["order"]: each["status"] for each in answer["items"]} == dict.fromkeys(moved, button)
        assert [each["order"] for each in answer["refused"]] == [unknown]
    wrong = (await delivery.client.post("/deliveries/collected", json={"orders": orders})).json()
    assert [each["order"] for each in wrong["refused"]] == orders
    assert await told(delivery, orders[0]) == ["order-dispatched"]
    assert await told(delivery, orders[1]) == ["order-dispatched", "order-delivered"]


async def test_an_order_cancelled_before_it_was_known_stays_closed(delivery: Fed) -> None:
    order = new_id()
    await delivery.feed(cancelled(order), confirmed(order, baked=False))
    assert await listed(delivery) == [(order, "cancelled")]


async def test_deliveries_are_paged_with_the_oldest_order_first(delivery: Fed) -> None:
    orders = [new_id() for _ in range(3)]
    await delivery.feed(*(confirmed(order, baked=False) for order in reversed(orders)))
    first = (await delivery.client.get("/deliveries", params={"limit": 2})).json()
    second = (await delivery.client.get("/deliveries", params={"limit": 2, "after": first["next"]})).json()
    assert [item["order"] for item in first["items"] + second["items"]] == orders
    assert second["next"] is None
