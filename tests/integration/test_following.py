"""Following an order: what a client sees that comes, goes, comes again, or does not come alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from backbone.ids import new_id
from backbone.running import following
from services.orders import decisions
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, serving
from tests.integration.raw_http import request, wire
from tests.integration.test_orders import confirmed, document, fact, placed
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

PATIENCE = 15


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("orders")


@pytest.fixture
async def orders(url: str) -> AsyncIterator[Fed]:
    async with fed(SERVICE, lambda _: url) as service:
        yield service


@pytest.fixture
def address(url: str) -> Iterator[str]:
    with serving(SERVICE, url) as address:
        yield address


@dataclass
class Stream:
    """One who follows; `seen` are the (id, order) of the events so far."""

    seen: list[tuple[str, dict[str, Any]]]
    reading: asyncio.Task[None]

    @property
    def statuses(self) -> list[str]:
        return [order["status"] for _, order in self.seen]

    async def until(self, holds: Callable[["Stream"], bool]) -> None:
        await eventually(lambda: holds(self), PATIENCE)

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.reading


@asynccontextmanager
async def followed(address: str, order: str, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {} if last is None else {"Last-Event-ID": last}
    async with (
        httpx.AsyncClient(base_url=address, timeout=PATIENCE, headers=by(SOMEBODY)) as client,
        client.stream("GET", f"/orders/{order}/stream", headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        stream = Stream([], asyncio.create_task(asyncio.sleep(0)))
        stream.reading = asyncio.create_task(read(answer, stream.seen))
        yield stream
        stream.reading.cancel()
        await asyncio.gather(stream.reading, return_exceptions=True)


async def read(answer: httpx.Response, seen: list[tuple[str, dict[str, Any]]]) -> None:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            seen.append((fields["id"], json.loads(fields["data"])))
            fields = {}


async def whole(address: str, order: str) -> list[tuple[str, dict[str, Any]]]:
    async with followed(address, order) as stream:
        await stream.ended()
        return stream.seen


async def again(address: str, order: str, last: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, headers=by(SOMEBODY)) as client:
        return await client.get(f"/orders/{order}/stream", headers={"Last-Event-ID": last})


async def completed(orders: Fed) -> str:
    order = await confirmed(orders)
    await orders.feed(fact("delivery.order-delivered", order))
    return order


async def test_a_client_that_has_the_end_is_told_not_to_come_again(orders: Fed, address: str) -> None:
    order = await completed(orders)
    ((last, shown),) = await whole(address, order)
    assert shown["status"] == "completed"
    answer = await again(address, order, last)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("last", ["", "x", "0", "-1", "1.0", "\xb2", "999999", "9" * 40, "1, 1"])
async def test_an_id_that_was_never_given_counts_as_none(orders: Fed, address: str, last: str) -> None:
    order = await completed(orders)
    answer = await again(address, order, last.encode("latin-1").decode("latin-1") if last.isascii() else "1e0")
    assert (answer.status_code, answer.text.count("data: ")) == (200, 1)


async def test_a_client_that_missed_something_gets_only_what_is_new(orders: Fed, address: str) -> None:
    order = await confirmed(orders)
    async with followed(address, order) as stream:
        await stream.until(lambda stream: stream.statuses == ["confirmed"])
    (last, _), *_ = stream.seen
    async with followed(address, order, last) as stream:
        await orders.feed(fact("kitchen.pizza-prepared", order))
        await stream.until(lambda stream: bool(stream.seen))
        assert stream.statuses == ["preparing"]
    await orders.feed(fact("delivery.order-delivered", order))
    async with followed(address, order, last) as stream:
        await stream.ended()
        assert stream.statuses == ["completed"]


async def test_every_follower_of_every_order_sees_each_change_once(orders: Fed, address: str) -> None:
    """More than one look can bring, some of them the same order."""
    ids = [await confirmed(orders) for _ in range(8)] * 6
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(followed(address, order)) for order in ids]
        for number, name in enumerate(("kitchen.pizza-prepared", "delivery.order-delivered"), 1):
            for stream in streams:
                await stream.until(partial(has_seen, number))
            await orders.feed(*(fact(name, order) for order in set(ids)))
        for stream, order in zip(streams, ids, strict=True):
            await stream.ended()
            numbers = [int(number) for number, _ in stream.seen]
            assert numbers == sorted(set(numbers))
            assert stream.statuses == ["confirmed", "preparing", "completed"]
            assert stream.seen[-1][1] == await document(orders, order)


def has_seen(number: int, stream: Stream) -> bool:
    return len(stream.seen) == number


async def test_all_who_follow_share_one_look(orders: Fed, address: str) -> None:
    ids = [await confirmed(orders) for _ in range(5)]
    async with AsyncExitStack() as stack:
        for order in ids * 6:
            await stack.enter_async_context(followed(address, order))
        await eventually(lambda: costs_at_most(orders, 1 / following.EVERY + 2), PATIENCE)
    await eventually(lambda: costs_at_most(orders, 2), PATIENCE)


async def costs_at_most(orders: Fed, most: float) -> bool:
    """Whether the database serves no more in a second. Postgres itself counts, about a second late."""
    before = await statements(orders)
    await asyncio.sleep(1)
    return await statements(orders) - before <= most


async def statements(orders: Fed) -> int:
    """Transactions of the database, which each look is one of; asking for it is one more."""
    query = text(
        "SELECT pg_stat_force_next_flush(), xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    async with orders.database.reading() as connection:
        return int((await connection.execute(query)).one().xact_commit)


SHORT = [{"sku": "dough", "quantity": 2, "available": 0}]


async def test_a_rejected_order_is_followed_until_the_money_is_back(orders: Fed, address: str) -> None:
    order = await placed(orders)
    async with followed(address, order) as stream:
        await orders.feed(
            fact("inventory.stock-rejected", order, short=SHORT), fact("payments.payment-received", order)
        )
        await stream.until(lambda stream: stream.statuses[-1:] == ["rejected"])
        await orders.feed(fact("payments.payment-refunded", order))
        await stream.ended()
    assert stream.seen[-1][1]["timeline"][-1]["text"] == "The payment was refunded."
    assert (await again(address, order, stream.seen[-1][0])).status_code == 204


async def test_a_declined_order_is_followed_until_its_stock_is_released(orders: Fed, address: str) -> None:
    order = await placed(orders)
    async with followed(address, order) as stream:
        await orders.feed(fact("payments.payment-failed", order, reason="declined"))
        await stream.until(lambda stream: stream.statuses[-1:] == ["rejected"])
        await orders.feed(fact("payments.payment-voided", order))
        await orders.feed(fact("inventory.stock-reserved", order))
        await stream.until(lambda stream: "reserved" in stream.seen[-1][1]["timeline"][-1]["text"])
        await orders.feed(fact("inventory.stock-released", order))
        await stream.ended()
    assert stream.seen[-1][1]["timeline"][-1]["text"] == "The reserved stock was released."


async def test_a_cancelled_order_is_followed_until_both_are_undone(orders: Fed, address: str) -> None:
    order = await confirmed(orders)
    async with followed(address, order) as stream:
        assert (await orders.client.post(f"/orders/{order}/cancel")).status_code == 202
        await orders.feed(fact("kitchen.ticket-cancelled", order))
        await stream.until(lambda stream: stream.statuses[-1:] == ["cancelled"])
        await orders.feed(fact("payments.payment-refunded", order))
        await stream.until(lambda stream: "refunded" in stream.seen[-1][1]["timeline"][-1]["text"])
        await orders.feed(fact("inventory.stock-released", order))
        await stream.ended()
    assert "released" in stream.seen[-1][1]["timeline"][-1]["text"]


async def test_an_order_whose_payment_was_given_up_is_followed_until_that_is_voided(orders: Fed, address: str) -> None:
    """The provider may be away for long, and the money, if it was taken, comes back only then."""
    order = await placed(orders)
    await orders.feed(
        fact("payments.payment-failed", order, reason="no answer"),
        *(fact(f"inventory.{name}", order) for name in ("stock-reserved", "stock-released")),
    )
    async with followed(address, order) as stream:
        await stream.until(lambda stream: bool(stream.seen))
        await orders.feed(fact("payments.payment-refunded", order))
        await stream.ended()
    assert [shown["timeline"][-1]["text"] for _, shown in stream.seen][1:] == ["The payment was refunded."]


async def test_an_order_cancelled_at_once_is_followed_until_payments_says_that_nothing_was_charged(
    orders: Fed, address: str
) -> None:
    order = await placed(orders)
    assert (await orders.client.post(f"/orders/{order}/cancel")).status_code == 202
    async with followed(address, order) as stream:
        for name in ("inventory.stock-reserved", "inventory.stock-released", "payments.payment-voided"):
            await orders.feed(fact(name, order))
        await stream.ended()
    assert stream.seen[-1][1]["timeline"][-1]["text"] == "Nothing was charged."
    assert (await again(address, order, stream.seen[-1][0])).status_code == 204


async def test_nobody_waits_for_ever_for_what_does_not_come(
    orders: Fed, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "UNDONE_WITHIN", timedelta(seconds=1))
    silent, lost = await placed(orders), await confirmed(orders)
    await orders.feed(fact("inventory.stock-rejected", silent, short=SHORT))
    assert (await orders.client.post(f"/orders/{lost}/cancel")).status_code == 202
    await orders.feed(fact("kitchen.ticket-cancelled", lost))
    assert (await whole(address, silent))[-1][1]["status"] == "rejected"
    assert (await whole(address, lost))[-1][1]["status"] == "cancelled"


async def test_streams_have_a_limit_of_their_own_and_those_that_left_are_noticed(orders: Fed, url: str) -> None:
    order = await placed(orders)
    with serving(SERVICE, url, streams=2, requests_in_flight=1) as address:
        target = f"/orders/{order}/stream"
        async with wire(address) as first, wire(address) as second, wire(address) as third:
            for line in (first, second):
                await line.send(request(target))
                assert (await line.reply()).status == 200
            await third.send(request(target))
            refused = await third.reply()
            assert refused.problem(429)["title"] == "Too many requests"
            assert refused.headers["retry-after"] == "5"
            await third.send(request("/menu"))
            assert (await third.reply()).status == 200
        await eventually(lambda: has_a_place(address, target), PATIENCE)


async def has_a_place(address: str, target: str) -> bool:
    async with wire(address) as line:
        await line.send(request(target))
        return (await line.reply()).status == 200


async def test_an_unknown_order_is_not_found_among_others_that_are(orders: Fed, address: str) -> None:
    order = await completed(orders)
    answers = await asyncio.gather(*(again(address, each, "") for each in [order, new_id(), order, new_id()] * 5))
    assert [answer.status_code for answer in answers] == [200, 404] * 10


async def test_followers_go_on_after_their_database_was_away(orders: Fed, address: str) -> None:
    order = await confirmed(orders)
    async with followed(address, order) as stream:
        await stream.until(lambda stream: bool(stream.seen))
        async with orders.database.transaction() as tx:
            await tx.raw.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await orders.feed(fact("delivery.order-delivered", order))
        await stream.ended()
        assert stream.statuses[-1] == "completed"
