"""A request sent again under its Idempotency-Key, by both ways in: what it says counts, not how it was serialised."""

import json
from collections.abc import AsyncIterator
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.inventory.service import SERVICE as INVENTORY
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

ORDER = {
    "customer": {"id": "ada", "name": "Ada é", "email": "ada@example.com"},
    "currency": "GBP",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 1}, {"item": "cola", "quantity": 2}],
}
EXPRESS = {"Content-Type": "application/json"}
ORDINARY = {"Content-Type": "application/json", "Content-Encoding": "identity"}
WAYS = pytest.mark.parametrize(
    ("first", "second"),
    [(EXPRESS, EXPRESS), (ORDINARY, ORDINARY), (EXPRESS, ORDINARY), (ORDINARY, EXPRESS)],
    ids=["express", "ordinary", "express, then ordinary", "ordinary, then express"],
)


@pytest.fixture(scope="module")
def one_database(new_database: NewDatabase) -> NewDatabase:
    return cache(new_database)


@pytest.fixture
async def orders(one_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(ORDERS, one_database) as service:
        yield service


def turned(value: Any) -> Any:
    """The same document with the members of every object in the opposite order."""
    if isinstance(value, dict):
        return {name: turned(inner) for name, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


PLAIN = json.dumps(ORDER).encode()
SAME = {
    "without blanks": json.dumps(ORDER, separators=(",", ":")).encode(),
    "in another order": json.dumps(turned(ORDER)).encode(),
    "indented, unescaped": json.dumps(ORDER, indent=2, ensure_ascii=False).encode(),
}
OTHER = {
    "another quantity": json.dumps(ORDER | {"lines": [{"item": "margherita", "quantity": 2}]}).encode(),
    "lines in another order": json.dumps(ORDER | {"lines": ORDER["lines"][::-1]}).encode(),  # type: ignore[index]
}


async def place(orders: Fed, body: bytes, headers: dict[str, str], key: str) -> httpx.Response:
    return await orders.client.post("/orders", content=body, headers=headers | {"Idempotency-Key": key})


@WAYS
@pytest.mark.parametrize("again", SAME.values(), ids=SAME.keys())
async def test_an_order_serialised_anew_gets_its_first_answer(
    orders: Fed, first: dict[str, str], second: dict[str, str], again: bytes
) -> None:
    key = uuid4().hex
    placed = await place(orders, PLAIN, first, key)
    repeated = await place(orders, again, second, key)
    assert (placed.status_code, repeated.status_code) == (202, 202), repeated.text
    assert repeated.content == placed.content
    assert repeated.headers["idempotency-replayed"] == "true"


@WAYS
@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER.keys())
async def test_another_order_under_the_key_is_refused(
    orders: Fed, first: dict[str, str], second: dict[str, str], other: bytes
) -> None:
    key = uuid4().hex
    assert (await place(orders, PLAIN, first, key)).status_code == 202
    refused = await place(orders, other, second, key)
    assert (refused.status_code, refused.json()["title"]) == (422, "Idempotency key reused")


@WAYS
@pytest.mark.parametrize("written", ['"{} a"', '"{} a";v=1', r'"\"{}\" \\"'])
async def test_a_key_may_be_any_string_of_structured_fields(
    orders: Fed, first: dict[str, str], second: dict[str, str], written: str
) -> None:
    key = written.replace("{}", uuid4().hex)
    placed = await place(orders, PLAIN, first, key)
    assert placed.status_code == 202, placed.text
    assert (await place(orders, PLAIN, second, key)).content == placed.content


@pytest.mark.parametrize("headers", [EXPRESS, ORDINARY], ids=["express", "ordinary"])
@pytest.mark.parametrize("key", ['"foo', 'foo"', '"a", "b"', '""', "a b", '"\x80"'])
async def test_a_key_that_is_no_string_is_refused(orders: Fed, headers: dict[str, str], key: str) -> None:
    given = {
        **{name.encode(): value.encode() for name, value in headers.items()},
        b"Idempotency-Key": key.encode("latin-1"),
    }
    refused = await orders.client.post("/orders", content=PLAIN, headers=given)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("again", [b"", b"null"], ids=["nothing", "null"])
async def test_a_cancellation_without_a_reason_is_the_same_in_every_form(orders: Fed, again: bytes) -> None:
    order = (await orders.client.post("/orders", json=ORDER)).json()["id"]
    headers = {"Idempotency-Key": uuid4().hex, "Content-Type": "application/json"}
    first = await orders.client.post(f"/orders/{order}/cancel", headers=headers)
    second = await orders.client.post(f"/orders/{order}/cancel", headers=headers, content=again)
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.content == first.content
    assert "idempotency-replayed" in second.headers


async def test_an_adjustment_serialised_anew_is_made_once(new_database: NewDatabase) -> None:
    async with fed(INVENTORY, new_database) as inventory:
        headers, path = {"Idempotency-Key": uuid4().hex, **EXPRESS}, "/stock/mcguffin/adjustments"
        change = {"change": -5, "channel": "shop-till", "reason": "sold"}
        first = await inventory.client.post(path, content=json.dumps(change), headers=headers)
        again = json.dumps(turned(change), separators=(",", ":"))
        second = await inventory.client.post(path, content=again, headers=headers)
        assert second.json() == first.json()
        assert (await inventory.client.get("/stock/mcguffin")).json()["on_hand"] == first.json()["on_hand"]


@WAYS
async def test_what_the_release_before_kept_is_given_again_for_the_same_bytes(
    orders: Fed, first: dict[str, str], second: dict[str, str]
) -> None:
    key = uuid4().hex
    placed = await place(orders, PLAIN, first, key)
    async with orders.database.transaction() as tx:
        await tx.raw.execute("UPDATE idempotency_keys SET meaning = NULL WHERE key = $1", key)
    assert (await place(orders, PLAIN, second, key)).content == placed.content
    assert (await place(orders, OTHER["another quantity"], second, key)).status_code == 422


@pytest.mark.parametrize("headers", [EXPRESS, ORDINARY], ids=["express", "ordinary"])
async def test_the_release_before_knows_the_same_bytes_again(
    headers: dict[str, str], new_database: NewDatabase
) -> None:
    """It asked nobody for a token."""
    key = uuid4().hex
    async with fed(ORDERS, new_database, issuer=None, auth="off") as orders:
        await place(orders, PLAIN, headers, key)
        async with orders.database.reading() as connection:
            query = text("SELECT fingerprint FROM idempotency_keys WHERE key = :key")
            kept = (await connection.execute(query, {"key": key})).scalar_one()
    assert bytes(kept) == sha256(b"POST /orders?\n" + PLAIN).digest()
