"""What may come in more than one form: cursors, encodings, media types and the text of headers."""

import base64
import json
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.inventory.service import SERVICE as INVENTORY
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.issuing import by

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDER = {
    "customer": {"id": "ada", "name": "Zoë", "email": "ada@example.com"},
    "currency": "GBP",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 1}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(ORDERS, cache(new_database)) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def inventory(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(INVENTORY, cache(new_database)) as service:
        yield service


async def stock(inventory: Fed, after: str, limit: int = 3) -> httpx.Response:
    return await inventory.client.get("/stock", params={"limit": limit, "after": after})


async def cursor(service: Fed, path: str) -> str:
    page = (await service.client.get(path, params={"limit": 1})).json()
    return str(page["next"])


async def test_an_empty_cursor_is_the_beginning(inventory: Fed) -> None:
    first = await inventory.client.get("/stock", params={"limit": 3})
    assert (await stock(inventory, "")).json() == first.json()
    for path in ("/dead-letters", "/jobs"):
        assert (await inventory.client.get(path, params={"after": ""})).status_code == 200


async def test_a_cursor_goes_on_where_its_page_ended(inventory: Fed) -> None:
    whole = (await inventory.client.get("/stock", params={"limit": 200})).json()["items"]
    assert (await stock(inventory, await cursor(inventory, "/stock"))).json()["items"] == whole[1:4]


@pytest.mark.parametrize("key", ["mcguffin", "", "a", "\x00", "cola"])
async def test_a_text_in_base64_is_no_cursor(inventory: Fed, key: str) -> None:
    plain = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    for given in (plain or "=", f"{plain}.00000000", f"{plain}.", f".{plain}"):
        assert_no_cursor(await stock(inventory, given))


@pytest.mark.parametrize("spoil", [str.upper, str.swapcase, lambda given: given[:-1], lambda given: given + "0"])
async def test_a_cursor_that_was_touched_is_refused(inventory: Fed, spoil: Any) -> None:
    assert_no_cursor(await stock(inventory, spoil(await cursor(inventory, "/stock"))))


async def test_another_lists_cursor_is_refused(orders: Fed, inventory: Fed) -> None:
    of_the_menu = await cursor(orders, "/menu")
    assert (await orders.client.get("/menu", params={"after": of_the_menu})).status_code == 200
    assert_no_cursor(await orders.client.get("/orders", params={"after": of_the_menu}))
    assert_no_cursor(await stock(inventory, of_the_menu))
    assert_no_cursor(await inventory.client.get("/jobs", params={"after": await cursor(inventory, "/stock")}))


def assert_no_cursor(answer: httpx.Response) -> None:
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [{"field": "after", "message": "must be the `next` of an earlier page"}]


async def send(orders: Fed, headers: dict[str, str], body: bytes = json.dumps(ORDER).encode()) -> httpx.Response:
    return await orders.client.post("/orders", content=body, headers=headers)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf8",
        'application/json; charset="utf-8"',
        'application/json;CHARSET="UTF8"',
        "application/json; charset=US-ASCII",
        "application/merge-patch+json; charset=Utf-8",
    ],
)
async def test_utf_8_may_be_called_by_its_other_names(orders: Fed, kind: str) -> None:
    assert (await send(orders, {"Content-Type": kind})).status_code == 202


@pytest.mark.parametrize("kind", ["charset=latin-1", 'charset="utf-16"', "charset=utf-7", "charset=utf-8-sig"])
async def test_another_charset_is_refused(orders: Fed, kind: str) -> None:
    refused = await send(orders, {"Content-Type": f"application/json; {kind}"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (415, "body")


@pytest.mark.parametrize("coding", ["identity", "IDENTITY", "Identity", "identity, identity", ""])
async def test_no_coding_may_be_said_in_any_way(orders: Fed, coding: str) -> None:
    assert (await send(orders, {"Content-Type": "application/json", "Content-Encoding": coding})).status_code == 202


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, br", "x-identity"])
async def test_a_coding_is_refused(orders: Fed, coding: str) -> None:
    refused = await send(orders, {"Content-Type": "application/json", "Content-Encoding": coding})
    assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "identity")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps(ORDER, ensure_ascii=False).encode("latin-1"), "is not UTF-8"),
        (json.dumps(ORDER, ensure_ascii=False).encode("utf-16"), "is not UTF-8"),
        (json.dumps(ORDER, ensure_ascii=False).encode("cp1252").replace(b"Lane", b"\x93Lane\x94"), "is not UTF-8"),
        (json.dumps(ORDER).encode().replace(b"ada@", b"\xed\xa0\x80@"), "is not UTF-8"),
        (b'{"a": {"b": "\xe9"', "is not UTF-8"),
        (json.dumps(ORDER).encode("utf-8-sig"), "begins with a byte order mark"),
    ],
    ids=["Latin-1", "UTF-16", "Windows-1252", "half a surrogate pair in bytes", "cut off", "byte order mark"],
)
async def test_a_body_in_another_encoding_is_told_so(orders: Fed, body: bytes, said: str) -> None:
    refused = await send(orders, {"Content-Type": "application/json"}, body)
    message = refused.json()["errors"][0]["message"]
    assert (refused.status_code, said in message, "surrogate" in message) == (400, True, False), message


@pytest.mark.parametrize("name", ["Zoë", "שרה 🍕", "ann", "é" * 200])
async def test_who_acts_is_kept_as_the_token_tells_it(orders: Fed, name: str) -> None:
    order = (await orders.client.post("/orders", json=ORDER)).json()["id"]
    cancelled = await orders.client.post(f"/orders/{order}/cancel", headers=by(name))
    assert cancelled.json()["reason"] == f"Cancelled on request of {name}."


@pytest.mark.parametrize("name", ["é" * 201, "a\x85b", "a\x9fb", ""])
async def test_a_name_of_more_than_a_line_lets_nobody_in(orders: Fed, name: str) -> None:
    assert (await orders.client.post("/orders/any/cancel", headers=by(name))).status_code == 401
