"""What the metrics count: every answer, refusals before routing included, by its route and never by its path."""

import json
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, serving
from tests.integration.raw_http import request, wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}
ORDER = {
    "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
    "currency": "GBP",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 1}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, cache(new_database)) as service:
        yield service


@pytest.fixture(scope="module")
def served(new_database: NewDatabase) -> Iterator[str]:
    """The address of a server: of the same process, so that the same metrics count."""
    with serving(SERVICE, new_database("orders")) as address:
        yield address


async def counted(orders: Fed, method: str, route: str, status: int) -> float:
    """How many answers of this kind the metrics tell of."""
    name = f'sliceline_http_requests_total{{method="{method}",route="{route}",status="{status}"}} '
    lines = (await orders.client.get("/metrics")).text.splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


@pytest.mark.parametrize(
    ("method", "path", "sent", "route", "status"),
    [
        ("POST", "/orders", {"content": b" " * 70_000, "headers": JSON}, "/orders", 413),
        ("POST", "/orders", {"content": b"item=cola", "headers": {"Content-Type": "text/plain"}}, "/orders", 415),
        ("POST", "/orders", {"content": b"{", "headers": JSON}, "/orders", 400),
        ("POST", "/orders/one/cancel", {"content": b"{", "headers": JSON}, "/orders/{order}/cancel", 400),
        ("POST", "/dead-letters/redrive", {"content": b"x"}, "/dead-letters/redrive", 415),
        ("GET", "/orders/%FF", {}, "/orders/{order}", 400),
        ("GET", "/orders/%00/stream", {}, "/orders/{order}/stream", 400),
        ("GET", "/menu?after=%ED%A0%80", {}, "/menu", 400),
        ("DELETE", "/menu", {}, "/menu", 405),
        ("PUT", "/orders", {"content": b"x"}, "/orders", 415),
        ("GET", "/nowhere/%FF", {}, "none", 400),
        ("POST", "/scanned/1.php", {"content": b"x"}, "none", 415),
        ("GET", "/orders/one/two/three", {}, "none", 404),
    ],
)
async def test_a_refusal_counts_under_its_route(
    orders: Fed, method: str, path: str, sent: dict[str, Any], route: str, status: int
) -> None:
    before = await counted(orders, method, route, status)
    answer = await orders.client.request(method, path, **sent)
    assert answer.status_code == status, answer.text
    assert await counted(orders, method, route, status) == before + 1


@pytest.mark.parametrize(
    ("sent", "route", "status"),
    [
        (request("/orders/one", "X-Long: " + "x" * 17_000), "/orders/{order}", 431),
        (request("/orders?status=" + "x" * 9_000), "/orders", 414),
        (request("/menu").replace(b"shop.example", b"a/b"), "/menu", 400),
        (request("/nowhere", "X-Long: " + "x" * 17_000), "none", 431),
    ],
    ids=["headers", "target", "host", "headers to nowhere"],
)
async def test_a_refusal_on_the_wire_counts_under_its_route(
    served: str, orders: Fed, sent: bytes, route: str, status: int
) -> None:
    before = await counted(orders, "GET", route, status)
    async with wire(served) as line:
        await line.send(sent)
        (await line.reply()).problem(status)
    assert await counted(orders, "GET", route, status) == before + 1


async def test_a_method_that_nobody_knows_counts_under_its_route(orders: Fed) -> None:
    before = await counted(orders, "OTHER", "/orders", 405)
    assert (await orders.client.request("BREW", "/orders")).status_code == 405
    assert await counted(orders, "OTHER", "/orders", 405) == before + 1


async def test_paths_make_no_labels_of_their_own(orders: Fed) -> None:
    for path in ("/orders/secret-%FF", "/secret", "/secret/%FF"):
        await orders.client.get(path)
    assert "secret" not in (await orders.client.get("/metrics")).text


async def test_the_express_lane_counts_what_it_refuses_and_names_the_request(new_database: NewDatabase) -> None:
    async with fed(SERVICE, new_database) as orders:
        assert (await place(orders)).status_code == 202
        async with orders.database.transaction() as tx:
            await tx.raw.execute("ALTER TABLE timeline RENAME TO elsewhere")
        accepted, refused = [await counted(orders, "POST", "/orders", status) for status in (202, 500)]
        answer = await place(orders)
        assert answer.status_code == 500
        assert answer.headers["x-correlation-id"] == answer.json()["correlationid"]
        assert await counted(orders, "POST", "/orders", 500) == refused + 1
        assert await counted(orders, "POST", "/orders", 202) == accepted


async def place(orders: Fed) -> httpx.Response:
    return await orders.client.post("/orders", content=json.dumps(ORDER), headers=JSON)
