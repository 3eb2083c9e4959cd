"""Whatever may be wrong with POST /orders: a problem names where, and nothing is stored, nothing published."""

import json
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import pytest
from sqlalchemy import text

from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

JSON = "application/json"
CUSTOMER = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
LINE = {"item": "margherita", "quantity": 2}
ORDER = {"customer": CUSTOMER, "currency": "GBP", "address": "1 Mill Lane", "lines": [LINE]}


def order(**changes: Any) -> bytes:
    return json.dumps({**ORDER, **changes}).encode()


def line(**changes: Any) -> bytes:
    return order(lines=[{**LINE, **changes}])


def ada(name: str) -> bytes:
    return order(customer={**CUSTOMER, "name": name})


def nested(depth: int) -> bytes:
    return order(address="@").replace(b'"@"', b"[" * depth + b"]" * depth)


TABLE: dict[str, tuple[bytes, str, int, str]] = {
    "unknown item": (line(item="brick"), JSON, 422, "lines.0.item"),
    "zero": (line(quantity=0), JSON, 422, "lines.0.quantity"),
    "negative": (line(quantity=-1), JSON, 422, "lines.0.quantity"),
    "huge": (line(quantity=1001), JSON, 422, "lines.0.quantity"),
    "more than 64 bits": (line(quantity=2**70), JSON, 422, "lines.0.quantity"),
    "more digits than a number has": (line(quantity=7).replace(b"7", b"7" * 5000), JSON, 400, "body"),
    "a float beyond all floats": (line(quantity=7).replace(b"7", b"1e999"), JSON, 422, "lines.0.quantity"),
    "half a pizza": (line(quantity=1.5), JSON, 422, "lines.0.quantity"),
    "a number as text": (line(quantity="2"), JSON, 422, "lines.0.quantity"),
    "true": (line(quantity=True), JSON, 422, "lines.0.quantity"),
    "NaN": (line(quantity=float("nan")), JSON, 422, "lines.0.quantity"),
    "no lines": (order(lines=[]), JSON, 422, "lines"),
    "too many lines": (order(lines=[LINE] * 501), JSON, 422, "lines"),
    "another currency": (order(currency="EUR"), JSON, 422, "currency"),
    "no currency at all": (order(currency="pounds"), JSON, 422, "currency"),
    "cut off": (order()[:-1], JSON, 400, "body"),
    "not JSON": (b"lines=1", JSON, 400, "body"),
    "not an object": (b"[]", JSON, 422, "body"),
    "the same member twice": (order().replace(b"{", b'{"currency": "EUR", ', 1), JSON, 400, "body"),
    "nothing": (b"", JSON, 422, "body"),
    "deeply nested": (nested(40), JSON, 400, "body"),
    "nested until the stack ends": (nested(20_000), JSON, 400, "body"),
    "opened and never closed": (b"[" * 50_000, JSON, 400, "body"),
    "oversized": (order(address="x" * 70_000), JSON, 413, "body"),
    "unknown field": (order(discount=100), JSON, 422, "discount"),
    "unknown field of a line": (line(unit_price=1), JSON, 422, "lines.0.unit_price"),
    "NUL": (ada("Ada\x00"), JSON, 422, "customer.name"),
    "NUL in a name of a field": (order(**{"a\x00b": 1}), JSON, 422, "a?b"),
    "half a surrogate pair": (ada("\ud83c"), JSON, 422, "customer.name"),
    "bytes that are no UTF-8": (order().replace(b"Ada", b"\xff\xfe"), JSON, 400, "body"),
    "overlong UTF-8": (order().replace(b"Ada", b"\xc0\xaf"), JSON, 400, "body"),
    "another encoding": (order().decode().encode("utf-16"), JSON, 400, "body"),
    "a form": (b"item=margherita", "application/x-www-form-urlencoded", 415, "body"),
    "JSON that is called text": (order(), "text/plain", 415, "body"),
    "JSON of no type": (order(), "", 415, "body"),
    "JSON in another charset": (order(), "application/json; charset=utf-16", 415, "body"),
}


@pytest.fixture(scope="module")
def one_database(new_database: NewDatabase) -> NewDatabase:
    """One for all: whatever a test leaves there, the next one finds."""
    return cache(new_database)


@pytest.fixture
async def orders(one_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, one_database) as service:
        yield service


async def rows(orders: Fed) -> dict[str, int]:
    tables = ("orders", "timeline", "outbox", "jobs", "idempotency_keys")
    async with orders.database.reading() as connection:
        return {name: (await connection.execute(text(f"SELECT count(*) FROM {name}"))).scalar_one() for name in tables}


@pytest.mark.parametrize(("content", "content_type", "status", "field"), TABLE.values(), ids=TABLE.keys())
async def test_bad_input_is_named_and_leaves_nothing(
    orders: Fed, content: bytes, content_type: str, status: int, field: str
) -> None:
    headers = {"Content-Type": content_type, "Idempotency-Key": "bad-input"}
    answer = await orders.client.post("/orders", content=content, headers=headers)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), problem
    assert problem["status"] == status
    assert field in [error["field"] for error in problem["errors"]]
    assert all(error["message"] for error in problem["errors"])
    assert set((await rows(orders)).values()) == {0}


async def test_the_same_without_a_fault_is_accepted(new_database: NewDatabase) -> None:
    async with fed(SERVICE, new_database) as orders:
        answer = await orders.client.post("/orders", content=order(), headers={"Content-Type": JSON})
        assert answer.status_code == 202
        assert await rows(orders) == {"orders": 1, "timeline": 1, "outbox": 1, "jobs": 1, "idempotency_keys": 0}
