"""What comes in over HTTP: the same again is answered the same, nonsense is refused and leaves no trace."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from backbone.storage.outbox import counter
from services.orders.events import ActsRecorded
from tests.books import come_to_rest
from tests.invariants import assert_sound
from tests.system import Shop

GOOD: dict[str, Any] = {
    "customer": {"id": "eve", "name": "Eve", "email": "eve@example.com"},
    "currency": "GBP",
    "fulfilment": "delivery",
    "address": "1 Mill Lane",
    "lines": [{"item": "water", "quantity": 1}],
}


def _line(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "lines": [{**GOOD["lines"][0], **changes}]}


# What is wrong -> (status, the field that is named, the body).
REFUSED: Mapping[str, tuple[int, str | None, bytes]] = {
    "unknown item": (422, "lines.0.item", orjson.dumps(_line(item="unicorn"))),
    "zero": (422, "lines.0.quantity", orjson.dumps(_line(quantity=0))),
    "negative": (422, "lines.0.quantity", orjson.dumps(_line(quantity=-1))),
    "huge": (422, "lines.0.quantity", orjson.dumps(_line(quantity=10**15))),
    "beyond 64 bits": (422, "lines.0.quantity", orjson.dumps(_line(quantity=1)).replace(b":1}", b":%d}" % 10**30)),
    "half a pizza": (422, "lines.0.quantity", orjson.dumps(_line(quantity=0.5))),
    "a number in words": (422, "lines.0.quantity", orjson.dumps(_line(quantity="1"))),
    "true": (422, "lines.0.quantity", orjson.dumps(_line(quantity=True))),
    "too many lines": (422, "lines", orjson.dumps({**GOOD, "lines": GOOD["lines"] * 501})),
    "no lines": (422, "lines", orjson.dumps({**GOOD, "lines": []})),
    "wrong currency": (422, "currency", orjson.dumps({**GOOD, "currency": "USD"})),
    "unknown field": (422, "price", orjson.dumps({**GOOD, "price": 1})),
    "unknown field of a line": (422, "lines.0.price", orjson.dumps(_line(price=1))),
    "no customer": (422, "customer", orjson.dumps({name: GOOD[name] for name in GOOD if name != "customer"})),
    "NUL": (422, "lines.0.item", orjson.dumps(_line(item="wa\x00ter"))),
    "broken Unicode": (400, None, orjson.dumps(_line()).replace(b"Mill", b"\xff\xfe")),
    "lone surrogate": (422, "address", orjson.dumps(_line()).replace(b"Mill", b"\\ud800")),
    "cut off": (400, None, orjson.dumps(GOOD)[:-5]),
    "nothing": (422, None, b""),
    "deeply nested": (400, None, b"[" * 30_000 + b"]" * 30_000),
    "oversized": (413, None, orjson.dumps({**GOOD, "address": "x" * 2_000_000})),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_nonsense_is_refused_and_nothing_is_stored_or_published(shop: Shop, what: str) -> None:
    status, field, content = REFUSED[what]
    before = await _traces(shop)

    answer = await _post(shop, content)

    assert answer.status_code == status or (status in (400, 422) and answer.status_code in (400, 422)), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    named = [error["field"] for error in answer.json().get("errors", [])]
    assert field is None or field in named
    assert await _traces(shop) == before


async def test_another_content_type_is_refused(shop: Shop) -> None:
    before = await _traces(shop)

    answer = await _post(shop, orjson.dumps(GOOD), "text/plain")

    assert answer.status_code == 415
    assert await _traces(shop) == before


async def test_ten_times_the_same_at_once_is_one_order(shop: Shop) -> None:
    key, body = uuid4().hex, shop.body({"water": 1})

    answers = await asyncio.gather(*(shop.post_order(body, key) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    customer = body["customer"]["id"]
    assert len(await shop.fetch("orders", "SELECT 1 FROM orders WHERE customer_id = $1", customer)) == 1
    await assert_sound(shop)
    order = answers[0].json()["id"]
    assert len([each for each in shop.journal.events(order) if "order-placed" in each.type]) == 1


async def test_another_body_under_the_same_key_is_refused(shop: Shop) -> None:
    key = uuid4().hex
    assert (await shop.post_order(shop.body({"water": 1}), key)).status_code == 202

    answer = await shop.post_order(shop.body({"water": 2}), key)

    assert answer.status_code == 422


async def test_what_was_refused_under_a_key_may_be_corrected(shop: Shop) -> None:
    key, body = uuid4().hex, shop.body({"water": 1})
    assert (await shop.post_order({**body, "currency": "USD"}, key)).status_code == 422

    assert (await shop.post_order(body, key)).status_code == 202


async def _post(shop: Shop, content: bytes, content_type: str = "application/json") -> httpx.Response:
    return await shop.http.post(shop.url("orders", "/orders"), content=content, headers={"Content-Type": content_type})


@pytest.fixture(scope="module")
def rested() -> list[bool]:
    """Filled by the first test."""
    return []


@pytest.fixture(autouse=True)
async def _at_rest(shop: Shop, rested: list[bool]) -> None:
    """Nothing may still be on its way from another module."""
    if not rested:
        await come_to_rest(shop)
        rested.append(True)


async def _traces(shop: Shop) -> tuple[Any, ...]:
    """What an order would leave: rows, and for every event ever published a number counted up.

    Not what is told of acts, on a bus of its own: the ones before this are told a moment later.
    """
    (counted,) = await shop.fetch(
        "orders",
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM timeline),"
        " (SELECT count(*) FROM outbox WHERE type <> $1),"
        " (SELECT count(*) FROM idempotency_keys), (SELECT sum(last) FROM sequences WHERE key <> $2)",
        ActsRecorded.TYPE,
        counter(ActsRecorded.BUS, "orders"),
    )
    return tuple(counted)
