"""Orders against a real Postgres: what its API takes and refuses, and what it makes of the others' events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from backbone.application import create_application
from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from services.orders.decisions import DELAY_WATCH
from services.orders.jobs import JOBS
from services.orders.service import SERVICE
from services.orders.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_service import Data, Fed, fed
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
AMOUNT = {"amount": 2400, "currency": "GBP"}


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


def body(**changes: Any) -> dict[str, Any]:
    wanted = {
        "customer": CUSTOMER,
        "currency": "GBP",
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "lines": [{"item": "margherita", "quantity": 2}],
    }
    return {name: value for name, value in {**wanted, **changes}.items() if value is not ...}


def line(**changes: Any) -> dict[str, Any]:
    return body(lines=[{"item": "cola", "quantity": 1}, {"item": "margherita", "quantity": 2, **changes}])


async def placed(orders: Fed, **changes: Any) -> str:
    answer = await orders.client.post("/orders", json=body(**changes))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def document(orders: Fed, order: str) -> dict[str, Any]:
    answer = await orders.client.get(f"/orders/{order}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def told(orders: Fed, order: str) -> list[str]:
    """The names of what was published about an order, without `sliceline.orders.`."""
    return [event_type.removeprefix("sliceline.orders.") for event_type, _ in await orders.published(order)]


def fact(name: str, order: str, **more: Any) -> tuple[str, Data]:
    """An event of another service, `kitchen.pizza-baked` say, with the least its contract asks for."""
    service = name.split(".")[0]
    by_service: dict[str, dict[str, Any]] = {
        "inventory": {"lines": [{"sku": "dough", "quantity": 2}]},
        "payments": {"amount": AMOUNT, "reference": order, "reason": None},
    }
    least = by_service.get(service, {"by": "ann"})
    return f"sliceline.{name}.v1", {"order": order, **least, **more}


async def confirmed(orders: Fed, **changes: Any) -> str:
    order = await placed(orders, **changes)
    await orders.feed(fact("inventory.stock-reserved", order), fact("payments.payment-received", order))
    return order


async def count(orders: Fed, table: str) -> int:
    async with orders.database.reading() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_an_order_is_accepted_with_its_price_and_where_to_follow_it(orders: Fed) -> None:
    answer = await orders.client.post("/orders", json=body())
    accepted = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/orders/{accepted['id']}"
    assert answer.headers["retry-after"] == "1"
    assert (accepted["status"], accepted["total"], accepted["reason"]) == ("placed", AMOUNT, None)
    assert accepted["lines"] == [
        {"item": "margherita", "quantity": 2, "unit_price": {"amount": 1200, "currency": "GBP"}, "baked": True}
    ]
    (entry,) = accepted["timeline"]
    assert (entry["status"], entry["event"]) == ("placed", "sliceline.orders.order-placed.v1")
    assert datetime.fromisoformat(entry["at"]).utcoffset() == timedelta(0)
    assert await document(orders, accepted["id"]) == accepted


async def test_the_order_its_event_and_its_watch_are_written_together(orders: Fed) -> None:
    order = await placed(orders, fulfilment="collection", address=...)
    ((event_type, data),) = await orders.published(order)
    assert event_type == "sliceline.orders.order-placed.v1"
    assert (data["order"], data["customer"], data["fulfilment"], data["address"]) == (
        order,
        CUSTOMER,
        "collection",
        None,
    )
    assert await count(orders, f"jobs WHERE kind = '{DELAY_WATCH}' AND key = '{order}'") == 1


async def test_the_same_item_may_stand_in_several_lines(orders: Fed) -> None:
    lines = [{"item": "cola", "quantity": 1}, {"item": "margherita", "quantity": 1}, {"item": "cola", "quantity": 1000}]
    found = await document(orders, await placed(orders, lines=lines))
    assert [(each["item"], each["quantity"]) for each in found["lines"]] == [
        ("cola", 1),
        ("margherita", 1),
        ("cola", 1000),
    ]
    assert found["total"]["amount"] == 1001 * 300 + 1200


async def test_one_key_sent_ten_times_at_once_is_one_order(orders: Fed) -> None:
    headers = {"Idempotency-Key": new_id()}
    answers = await asyncio.gather(
        *(orders.client.post("/orders", json=body(), headers=headers) for _ in range(10)),
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert await count(orders, "orders") == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (line(item="brick"), "lines.1.item"),
        (line(item=""), "lines.1.item"),
        (line(item="margherita\x00"), "lines.1.item"),
        (line(quantity=0), "lines.1.quantity"),
        (line(quantity=-1), "lines.1.quantity"),
        (line(quantity=1001), "lines.1.quantity"),
        (line(quantity=10**30), "lines.1.quantity"),
        (line(quantity=1.5), "lines.1.quantity"),
        (line(quantity=2.000001), "lines.1.quantity"),
        (line(quantity="2"), "lines.1.quantity"),
        (line(quantity=True), "lines.1.quantity"),
        (line(quantity=None), "lines.1.quantity"),
        (line(price=1), "lines.1.price"),
        (body(lines=[]), "lines"),
        (body(lines=[{"item": "cola", "quantity": 1}] * 501), "lines"),
        (body(lines=[{"item": f"cola-{number}", "quantity": 1} for number in range(51)]), "lines"),
        (body(lines=...), "lines"),
        (body(currency="EUR"), "currency"),
        (body(currency="gbp"), "currency"),
        (body(currency=...), "currency"),
        (body(fulfilment="drone"), "fulfilment"),
        (body(address=...), "address"),
        (body(address=None), "address"),
        (body(address="  "), "address"),
        (body(fulfilment=..., address=...), "address"),
        (body(customer={"id": "ada", "name": "Ada"}), "customer.email"),
        (body(customer={**CUSTOMER, "email": "nobody"}), "customer.email"),
        (body(customer={**CUSTOMER, "email": "a@b\r\nBcc: c@d"}), "customer.email"),
        (body(customer={**CUSTOMER, "name": "A" * 201}), "customer.name"),
        (body(customer={**CUSTOMER, "name": "Ada\nEve"}), "customer.name"),
        (body(customer={**CUSTOMER, "id": ""}), "customer.id"),
        (body(customer={**CUSTOMER, "vip": True}), "customer.vip"),
        (body(customer="ada"), "customer"),
        (body(status="completed"), "status"),
        ([], "body"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(refusing: Fed, wrong: Any, field: str) -> None:
    answer = await refusing.client.post("/orders", json=wrong, headers={"Idempotency-Key": new_id()})
    assert answer.headers["content-type"] == "application/problem+json"
    assert 400 <= answer.status_code < 500
    assert field in [error["field"] for error in answer.json()["errors"]]
    for table in ("orders", "timeline", "outbox", "jobs", "idempotency_keys"):
        assert await count(refusing, table) == 0


async def test_every_unknown_item_is_named(orders: Fed) -> None:
    lines = [{"item": item, "quantity": 1} for item in ("brick", "cola", "stone")]
    answer = await orders.client.post("/orders", json=body(lines=lines))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["lines.0.item", "lines.2.item"]


@pytest.mark.parametrize(
    "content", [b'{"lines":', b"\xff\xfe", b'{"customer": "\\ud800"}', b"[" * 10_000, b"x" * 70_000]
)
async def test_what_is_not_sound_json_is_refused(refusing: Fed, content: bytes) -> None:
    answer = await refusing.client.post("/orders", content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.json()["errors"]
    assert await count(refusing, "orders") == 0


async def test_an_order_travels_to_its_end(orders: Fed) -> None:
    order = await placed(orders)
    seen = []
    for name in (
        "payments.payment-received",
        "inventory.stock-reserved",
        "kitchen.pizza-prepared",
        "kitchen.pizza-baked",
        "delivery.order-dispatched",
        "delivery.order-delivered",
    ):
        await orders.feed(fact(name, order))
        seen.append((await document(orders, order))["status"])
    assert seen == ["placed", "confirmed", "preparing", "baked", "dispatched", "completed"]
    assert await told(orders, order) == [
        "order-placed.v1",
        "order-confirmed.v1",
        "order-confirmed.v2",
        "order-completed.v1",
    ]
    assert [entry["event"].split(".")[2] for entry in (await document(orders, order))["timeline"]] == [
        "order-placed",
        "payment-received",
        "stock-reserved",
        "order-confirmed",
        "pizza-prepared",
        "pizza-baked",
        "order-dispatched",
        "order-delivered",
        "order-completed",
    ]
    assert await count(orders, f"jobs WHERE key = '{order}'") == 0


async def test_an_order_tells_what_is_expected_next_and_when_until_its_end(orders: Fed) -> None:
    order = await placed(orders, fulfilment="collection")
    expected = []
    for name in (
        None,
        "payments.payment-received",
        "inventory.stock-reserved",
        "kitchen.pizza-prepared",
        "kitchen.pizza-baked",
        "delivery.order-collected",
    ):
        if name:
            await orders.feed(fact(name, order))
        shown = await document(orders, order)
        expected.append(shown["expected"] and shown["expected"]["step"])
        if shown["status"] == "placed":
            wait = datetime.fromisoformat(shown["expected"]["at"]) - datetime.fromisoformat(shown["placed_at"])
            assert wait == timedelta(seconds=10)
    assert expected == ["confirmed", "confirmed", "preparing", "ready", "completed", None]


async def test_a_whole_life_in_one_batch_is_the_same(orders: Fed) -> None:
    order = await placed(orders, fulfilment="collection")
    await orders.feed(
        fact("inventory.stock-reserved", order),
        fact("payments.payment-received", order),
        fact("kitchen.pizza-prepared", order),
        fact("kitchen.pizza-baked", order),
        fact("delivery.order-collected", order),
    )
    found = await document(orders, order)
    assert found["status"] == "completed"
    assert [entry["status"] for entry in found["timeline"]] == [
        "placed",
        "placed",
        "placed",
        "confirmed",
        "preparing",
        "ready",
        "ready",
        "completed",
    ]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            ("inventory.stock-rejected", {"short": [{"sku": "mcguffin", "quantity": 100, "available": 99}]}),
            "Not enough in stock: mcguffin (100 wanted, 99 available).",
        ),
        (("payments.payment-failed", {"reason": "The card was declined."}), "The card was declined."),
        (("payments.payment-failed", {"reason": None}), "The payment failed."),
    ],
)
async def test_a_bad_fact_rejects_and_a_late_good_one_only_joins_the_timeline(
    orders: Fed, event: tuple[str, dict[str, Any]], reason: str
) -> None:
    order = await placed(orders)
    await orders.feed(fact(event[0], order, **event[1]))
    good = "payments.payment-received" if "stock" in event[0] else "inventory.stock-reserved"
    await orders.feed(fact(good, order))
    found = await document(orders, order)
    assert (found["status"], found["reason"]) == ("rejected", reason)
    assert [entry["status"] for entry in found["timeline"]] == ["placed", "placed", "rejected", "rejected"]
    assert await told(orders, order) == ["order-placed.v1", "order-rejected.v1"]


async def test_facts_about_an_unknown_order_are_kept(orders: Fed) -> None:
    unknown, known = new_id(), await placed(orders)
    await orders.feed(fact("kitchen.pizza-baked", unknown), fact("inventory.stock-reserved", known))
    assert await count(orders, f"timeline WHERE order_id = '{unknown}' AND status IS NULL") == 1
    assert len((await document(orders, known))["timeline"]) == 2
    assert (await orders.client.get(f"/orders/{unknown}")).status_code == 404


async def test_an_occurrence_that_comes_twice_counts_once(orders: Fed) -> None:
    order = await placed(orders)
    record = orders.record(*fact("payments.payment-received", order))
    await orders.deliver(record)
    await orders.deliver(record)
    assert len((await document(orders, order))["timeline"]) == 2


async def test_before_confirmation_a_cancellation_is_the_end(orders: Fed) -> None:
    order = await placed(orders)
    answer = await orders.client.post(f"/orders/{order}/cancel", json={"reason": "changed my mind"})
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert answer.json()["reason"] == "changed my mind"
    again = await orders.client.post(f"/orders/{order}/cancel")
    assert (again.status_code, again.content) == (202, answer.content)
    assert await told(orders, order) == ["order-placed.v1", "order-cancelled.v1"]
    assert await count(orders, "jobs") == 0


async def test_without_a_reason_the_actor_is_named(orders: Fed) -> None:
    order = await placed(orders)
    answer = await orders.client.post(f"/orders/{order}/cancel", headers=by("ada"))
    assert answer.json()["reason"] == "Cancelled on request of ada."


async def test_an_order_that_waits_for_stock_is_told_and_paid_only_when_it_has_come(orders: Fed) -> None:
    await orders.client.patch("/menu/margherita", json={"back_orderable": True})
    order = await placed(orders)
    short = [{"sku": "basil", "quantity": 2, "available": 0}]
    lines = [{"sku": "basil", "quantity": 2}]
    await orders.feed(fact("inventory.stock-backordered", order, lines=lines, short=short))
    waiting = await document(orders, order)
    assert (waiting["status"], waiting["expected"]) == ("backordered", None)
    assert waiting["reason"] == "Not enough in stock: basil (2 wanted, 0 available)."
    page = (await orders.client.get("/orders", params={"status": "backordered"})).json()
    assert [each["id"] for each in page["items"]] == [order]
    assert await told(orders, order) == ["order-placed.v1", "order-backordered.v1"]
    await orders.feed(fact("inventory.stock-reserved", order))
    assert (await document(orders, order))["status"] == "placed"
    assert (await told(orders, order))[2:] == ["order-payment-due.v1"]
    await orders.feed(fact("payments.payment-received", order))
    assert (await document(orders, order))["status"] == "confirmed"


async def test_an_order_that_waits_for_stock_is_cancelled_at_once(orders: Fed) -> None:
    order = await placed(orders)
    short = [{"sku": "basil", "quantity": 2, "available": 0}]
    lines = [{"sku": "basil", "quantity": 2}]
    await orders.feed(fact("inventory.stock-backordered", order, lines=lines, short=short))
    answer = await orders.client.post(f"/orders/{order}/cancel", json={"reason": "too slow"})
    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (202, "cancelled", "too slow")
    await orders.feed(fact("inventory.backorder-withdrawn", order))
    assert [entry["status"] for entry in (await document(orders, order))["timeline"]][-1] == "cancelled"


@pytest.mark.parametrize("agreed", [True, False])
async def test_after_confirmation_the_kitchen_decides(orders: Fed, agreed: bool) -> None:
    order = await confirmed(orders)
    first = await orders.client.post(f"/orders/{order}/cancel")
    again = await orders.client.post(f"/orders/{order}/cancel")
    assert (first.status_code, first.json()["status"]) == (202, "cancelling")
    assert (again.status_code, again.content) == (202, first.content)
    if agreed:
        await orders.feed(fact("kitchen.ticket-cancelled", order))
    else:
        refused = fact("kitchen.cancellation-refused", order, reason="It is being made.")
        await orders.feed(fact("kitchen.pizza-prepared", order), refused)
    names = await told(orders, order)
    assert (await document(orders, order))["status"] == ("cancelled" if agreed else "preparing")
    assert names.count("order-cancellation-requested.v1") == 1
    assert names.count("order-cancelled.v1") == agreed


async def test_too_late_to_cancel_is_a_409(orders: Fed) -> None:
    order = await confirmed(orders)
    await orders.feed(fact("kitchen.pizza-prepared", order))
    answer = await orders.client.post(f"/orders/{order}/cancel")
    assert (answer.status_code, answer.json()["title"]) == (409, "Too late to cancel")
    assert "preparing" in answer.json()["detail"]


async def test_what_cannot_be_cancelled_says_why(orders: Fed) -> None:
    order = await placed(orders)
    wrong = await orders.client.post(f"/orders/{order}/cancel", json={"reason": "x", "refund": True})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "refund"
    assert (await orders.client.post(f"/orders/{new_id()}/cancel")).status_code == 404
    assert await told(orders, order) == ["order-placed.v1"]


async def test_cancelling_and_confirming_at_once_leave_one_story(orders: Fed) -> None:
    ids = [await placed(orders) for _ in range(20)]
    for order in ids:
        await orders.feed(fact("inventory.stock-reserved", order))
    feeding = asyncio.create_task(orders.feed(*(fact("payments.payment-received", order) for order in ids)))
    await asyncio.gather(*(orders.client.post(f"/orders/{order}/cancel") for order in ids))
    await feeding
    for order in ids:
        names = (await told(orders, order))[1:]
        assert names in (
            ["order-cancelled.v1"],
            ["order-confirmed.v1", "order-confirmed.v2", "order-cancellation-requested.v1"],
        )


async def test_orders_are_listed_newest_first_and_found_by_status_and_customer(orders: Fed) -> None:
    ids = [await placed(orders) for _ in range(4)]
    eves = await placed(orders, customer={**CUSTOMER, "id": "eve"})
    await orders.client.post(f"/orders/{ids[1]}/cancel")
    assert await all_pages(orders, "/orders") == [eves, *reversed(ids)]
    assert await all_pages(orders, "/orders", status="placed") == [eves, ids[3], ids[2], ids[0]]
    assert await all_pages(orders, "/orders", customer="ada", status="cancelled") == [ids[1]]
    nobody = await orders.client.get("/orders", params={"customer": ""})
    assert (nobody.status_code, nobody.json()["errors"][0]["field"]) == (422, "customer")


async def test_a_customers_orders_are_found_by_an_index_in_their_order(orders: Fed) -> None:
    await orders.database.fetch(
        """
        INSERT INTO orders SELECT lpad(n::text, 36, '0'), 'customer-' || n % 100, 'Ada', 'ada@example.com',
               'collection', NULL, '[]', 'GBP', 100, 'completed', NULL, '{}', now(), now(), false, 1
        FROM generate_series(1, 20000) AS n
        """
    )
    await orders.database.fetch("ANALYZE orders")
    query = "SELECT * FROM orders WHERE customer_id = 'customer-3' ORDER BY id DESC LIMIT 51"
    plan = "\n".join(row[0] for row in await orders.database.fetch(f"EXPLAIN {query}"))
    assert "orders_by_customer" in plan
    answer = await orders.client.get("/orders", params={"customer": "customer-3", "limit": "200"})
    numbers = [int(each["id"]) for each in answer.json()["items"]]
    assert numbers == list(range(19903, 0, -100))


async def all_pages(orders: Fed, path: str, key: str = "id", **params: str) -> list[str]:
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = await orders.client.get(path, params={"limit": "2", **params, **after})
        page = answer.json()
        found += [each[key] for each in page["items"]]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


@pytest.mark.parametrize("params", [{"status": "eaten"}, {"limit": "0"}, {"after": "%%"}, {"customer": "c" * 65}])
async def test_a_list_asked_for_wrongly_says_which_parameter(orders: Fed, params: dict[str, str]) -> None:
    answer = await orders.client.get("/orders", params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(params))


async def test_the_menu_has_a_dozen_items(orders: Fed) -> None:
    menu = (await orders.client.get("/menu")).json()["items"]
    assert len(menu) == 12
    assert {item["item"]: item for item in menu}["margherita"] == {
        "item": "margherita",
        "name": "Margherita",
        "unit_price": {"amount": 1200, "currency": "GBP"},
        "baked": True,
        "description": "Tomato, mozzarella and basil.",
        "category": "pizza",
        "picture": "/menu/margherita/picture",
        "sold_out": False,
        "out_of_stock": False,
        "back_orderable": False,
        "hidden": False,
    }
    assert await all_pages(orders, "/menu", "item") == [item["item"] for item in menu]


def messages(stream: str) -> list[dict[str, Any]]:
    return [json.loads(each.removeprefix("data: ")) for each in stream.splitlines() if each.startswith("data: ")]


async def test_a_stream_tells_the_whole_order_until_it_has_ended(orders: Fed) -> None:
    order = await confirmed(orders)
    streaming = asyncio.create_task(orders.client.get(f"/orders/{order}/stream"))
    await asyncio.sleep(0.4)
    await orders.feed(fact("kitchen.pizza-prepared", order))
    await asyncio.sleep(0.4)
    await orders.feed(fact("delivery.order-collected", order))
    answer = await asyncio.wait_for(streaming, 5)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = messages(answer.text)
    assert [each["status"] for each in told] == ["confirmed", "preparing", "completed"]
    assert told[-1] == await document(orders, order)


async def test_an_unknown_order_has_no_stream(orders: Fed) -> None:
    answer = await orders.client.get(f"/orders/{new_id()}/stream")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_stream_ends_when_the_process_stops(orders: Fed) -> None:
    order = await placed(orders)
    async with watching(orders, 300) as context:
        transport = httpx.ASGITransport(create_application(SERVICE, context))
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client:
            streaming = asyncio.create_task(client.get(f"/orders/{order}/stream"))
            await asyncio.sleep(0.4)
            context.stopping.set()
            answer = await asyncio.wait_for(streaming, 5)
    assert [each["status"] for each in messages(answer.text)] == ["placed"]


@asynccontextmanager
async def watching(orders: Fed, limit: float) -> AsyncIterator[Context[Settings]]:
    """The process's jobs, with this many seconds until a step is late."""
    settings = Settings(database_url="postgresql://not-used", delay_after_seconds=limit)
    context = Context(settings, orders.database)
    worker = Worker(DELAY_WATCH, JOBS[DELAY_WATCH], context)
    running = asyncio.create_task(worker.run())
    yield context
    worker.stop()
    await running


async def due_now(orders: Fed, order: str) -> None:
    async with orders.database.transaction() as tx:
        tx.schedule(DELAY_WATCH, order)


async def test_each_step_that_takes_too_long_is_told_once(orders: Fed) -> None:
    order = await placed(orders)
    delays = "order-delayed.v1"
    async with watching(orders, 0.3):
        await due_now(orders, order)
        await eventually(lambda: has_told(orders, order, delays, 1), 10)
        await orders.feed(fact("inventory.stock-reserved", order), fact("payments.payment-received", order))
        await eventually(lambda: has_told(orders, order, delays, 2), 10)
        await asyncio.sleep(0.5)
    assert (await told(orders, order)).count(delays) == 2
    found = await document(orders, order)
    assert found["status"] == "confirmed"
    assert found["timeline"][1]["text"].endswith("waiting for stock and payment.")
    assert await count(orders, "jobs") == 0


async def has_told(orders: Fed, order: str, name: str, times: int) -> bool:
    return (await told(orders, order)).count(name) == times


async def test_a_step_that_is_in_time_is_looked_at_again_later(orders: Fed) -> None:
    order = await placed(orders)
    async with watching(orders, 300):
        await due_now(orders, order)
        await eventually(lambda: is_due_later(orders, order), 10)
    assert await told(orders, order) == ["order-placed.v1"]


async def is_due_later(orders: Fed, order: str) -> bool:
    return await count(orders, f"jobs WHERE key = '{order}' AND due > now() + interval '4 minutes'") == 1
