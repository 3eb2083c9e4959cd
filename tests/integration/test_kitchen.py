import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backbone.decision import Decision
from backbone.ids import new_id
from backbone.storage.database import Tx
from services.kitchen import decisions, store
from services.kitchen.decisions import Ticket
from services.kitchen.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, until_a_lock_is_awaited
from tests.issuing import by

CONFIRMED = "sliceline.orders.order-confirmed.v2"
CANCEL = "sliceline.orders.order-cancellation-requested.v1"
CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}


@pytest.fixture
async def kitchen(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


def line(item: str, quantity: int, baked: bool) -> dict[str, Any]:
    return {"item": item, "quantity": quantity, "unit_price": {"amount": 900, "currency": "GBP"}, "baked": baked}


def confirmed(order: str, *lines: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return CONFIRMED, {
        "order": order,
        "customer": CUSTOMER,
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "lines": lines or [line("margherita", 2, True), line("cola", 1, False)],
        "total": {"amount": 1800, "currency": "GBP"},
    }


def cancel(order: str) -> tuple[str, dict[str, Any]]:
    return CANCEL, {"order": order, "customer": CUSTOMER, "reason": "changed my mind"}


async def waiting_ticket(kitchen: Fed) -> str:
    order = new_id()
    await kitchen.feed(confirmed(order))
    return order


async def test_a_confirmed_order_becomes_a_ticket_with_what_is_baked(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    (ticket,) = (await kitchen.client.get("/tickets", params={"status": "open"})).json()["items"]
    created_at = ticket.pop("created_at")
    assert ticket == {
        "order": order,
        "status": "waiting",
        "lines": [{"item": "margherita", "quantity": 2}],
        "by": None,
    }
    assert created_at.endswith("Z")


async def test_an_order_of_drinks_never_comes_here(kitchen: Fed) -> None:
    order = new_id()
    await kitchen.feed(confirmed(order, line("cola", 1, False)), cancel(order))
    assert (await kitchen.client.get("/tickets")).json() == {"items": [], "next": None}
    assert await kitchen.published(order) == []


async def test_both_buttons_are_told_with_who_pressed(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    await kitchen.client.post(f"/tickets/{order}/prepared", headers=by("ann"))
    baked = await kitchen.client.post(f"/tickets/{order}/baked", headers=by("bob"))
    assert (baked.status_code, baked.json()["status"], baked.json()["by"]) == (200, "baked", "bob")
    assert await kitchen.published(order) == [
        ("sliceline.kitchen.pizza-prepared.v1", {"order": order, "by": "ann"}),
        ("sliceline.kitchen.pizza-baked.v1", {"order": order, "by": "bob"}),
    ]


async def test_a_button_pressed_by_ten_at_once_is_told_once(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    presses = (kitchen.client.post(f"/tickets/{order}/prepared", headers=by(f"cook-{number}")) for number in range(10))
    answers = await asyncio.gather(*presses)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(await kitchen.published(order)) == 1


async def test_the_wrong_button_is_409_and_an_unknown_order_404(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    wrong = await kitchen.client.post(f"/tickets/{order}/baked")
    assert (wrong.status_code, wrong.headers["content-type"]) == (409, "application/problem+json")
    assert wrong.json()["detail"] == "The ticket is waiting and cannot become baked."
    assert (await kitchen.client.post(f"/tickets/{new_id()}/prepared")).status_code == 404
    assert await kitchen.published(order) == []


async def test_what_waits_is_cancelled_and_its_buttons_are_409(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    await kitchen.feed(cancel(order))
    assert (await kitchen.client.post(f"/tickets/{order}/prepared")).status_code == 409
    assert await kitchen.published(order) == [
        ("sliceline.kitchen.ticket-cancelled.v1", {"order": order, "by": "kitchen"})
    ]


async def test_what_has_started_is_not_cancelled(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    await kitchen.client.post(f"/tickets/{order}/prepared")
    await kitchen.feed(cancel(order))
    told = await kitchen.published(order)
    assert [event_type for event_type, _ in told] == [
        "sliceline.kitchen.pizza-prepared.v1",
        "sliceline.kitchen.cancellation-refused.v1",
    ]


async def write(tx: Tx, decision: Decision[Ticket]) -> None:
    await store.save_all(tx, [decision.state])
    tx.apply(decision, key=decision.state.order)


async def test_a_button_pressed_while_cancelling_waits_and_loses(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    async with kitchen.database.transaction() as tx:
        await write(tx, decisions.cancel((await store.lock_all(tx, [order]))[order]))
        pressing = asyncio.create_task(kitchen.client.post(f"/tickets/{order}/prepared"))
        await until_a_lock_is_awaited(kitchen.database)
    assert (await pressing).status_code == 409
    assert [event_type for event_type, _ in await kitchen.published(order)] == ["sliceline.kitchen.ticket-cancelled.v1"]


async def test_a_cancellation_that_comes_while_a_button_is_pressed_waits_and_is_refused(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    async with kitchen.database.transaction() as tx:
        ticket = (await store.lock_all(tx, [order]))[order]
        await write(tx, decisions.press(ticket, decisions.Button.PREPARED, "ann"))
        cancelling = asyncio.create_task(kitchen.feed(cancel(order)))
        await until_a_lock_is_awaited(kitchen.database)
    await cancelling
    told = [event_type.split(".")[2] for event_type, _ in await kitchen.published(order)]
    assert told == ["pizza-prepared", "cancellation-refused"]


async def test_pressing_and_cancelling_at_once_never_both_win(kitchen: Fed) -> None:
    orders = [new_id() for _ in range(30)]
    await kitchen.feed(*(confirmed(order) for order in orders))
    presses = [kitchen.client.post(f"/tickets/{order}/prepared") for order in orders]
    cancelling = asyncio.create_task(kitchen.feed(*(cancel(order) for order in orders)))
    answers = await asyncio.gather(*presses)
    await cancelling
    for order, answer in zip(orders, answers, strict=True):
        told = [event_type.split(".")[2] for event_type, _ in await kitchen.published(order)]
        assert told == (
            ["pizza-prepared", "cancellation-refused"] if answer.status_code == 200 else ["ticket-cancelled"]
        )


async def test_a_button_is_pressed_for_a_whole_oven_load_and_tells_which_it_does_not_move(kitchen: Fed) -> None:
    orders = [await waiting_ticket(kitchen) for _ in range(3)]
    unknown = new_id()
    await kitchen.client.post(f"/tickets/{orders[0]}/prepared", headers=by("ann"))
    body = {"orders": [*orders[:2], unknown, orders[1]]}
    answer = await kitchen.client.post("/tickets/baked", json=body, headers=by("bob"))
    assert answer.status_code == 200
    assert [(each["order"], each["status"], each["by"]) for each in answer.json()["items"]] == [
        (orders[0], "baked", "bob")
    ]
    assert answer.json()["refused"] == [
        {"order": orders[1], "reason": "The ticket is waiting and cannot become baked."},
        {"order": unknown, "reason": f"The kitchen has no ticket for order {unknown}."},
    ]
    again = await kitchen.client.post("/tickets/prepared", json={"orders": orders[1:]})
    assert {each["status"] for each in again.json()["items"]} == {"prepared"}
    assert [len(await kitchen.published(order)) for order in orders] == [2, 1, 1]


@pytest.mark.parametrize("orders", [[], ["x"] * 201, ["x" * 65], [1], "x"])
async def test_an_oven_load_that_makes_no_sense_presses_nothing(kitchen: Fed, orders: Any) -> None:
    order = await waiting_ticket(kitchen)
    body = {"orders": [*orders, order] if isinstance(orders, list) and orders else orders}
    answer = await kitchen.client.post("/tickets/prepared", json=body)
    assert answer.status_code == 422
    assert await kitchen.published(order) == []


async def test_an_occurrence_that_comes_twice_counts_once(kitchen: Fed) -> None:
    order = await waiting_ticket(kitchen)
    request = kitchen.record(*cancel(order))
    await kitchen.deliver(request)
    await kitchen.deliver(request)
    assert len(await kitchen.published(order)) == 1


async def test_tickets_are_paged_with_the_oldest_order_first(kitchen: Fed) -> None:
    orders = [new_id() for _ in range(5)]
    await kitchen.feed(*(confirmed(order) for order in reversed(orders)))
    await kitchen.client.post(f"/tickets/{orders[0]}/prepared")
    await kitchen.feed(cancel(orders[3]))
    assert await all_pages(kitchen, status="open") == [orders[0], orders[1], orders[2], orders[4]]
    assert await all_pages(kitchen) == orders
    assert await all_pages(kitchen, status="cancelled") == [orders[3]]


async def all_pages(kitchen: Fed, **params: str) -> list[str]:
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await kitchen.client.get("/tickets", params={"limit": "2", **params, **after})).json()
        found += [ticket["order"] for ticket in page["items"]]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


@pytest.mark.parametrize("params", [{"status": "burnt"}, {"limit": "0"}, {"after": "%%"}])
async def test_a_list_asked_for_wrongly_says_which_parameter(kitchen: Fed, params: dict[str, str]) -> None:
    answer = await kitchen.client.get("/tickets", params=params)
    assert answer.status_code == 422
    assert json.loads(answer.text)["errors"][0]["field"] == next(iter(params))
