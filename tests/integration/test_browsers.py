"""What a browser needs: answers that a page of another origin may read, OPTIONS, a front door, and /docs by itself."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

import httpx
import pytest
import pytest_asyncio
from pydantic import ValidationError

from backbone.settings import Settings
from services.inventory.service import SERVICE as INVENTORY
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, serving
from tests.integration.raw_http import request, wire
from tests.integration.test_orders import fact

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "http://localhost:5173"
JSON = {"Content-Type": "application/json"}
ORDER = {
    "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
    "currency": "GBP",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 1}],
}


@asynccontextmanager
async def open_to(origins: str, new_database: NewDatabase) -> AsyncIterator[Fed]:
    """Orders, told by its environment whose pages may use it."""
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SLICELINE_CORS_ORIGINS", origins)
            service = await stack.enter_async_context(fed(ORDERS, new_database))
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with open_to(f"https://shop.example, {PAGE}", cache(new_database)) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def to_none(new_database: NewDatabase) -> AsyncIterator[Fed]:
    """A service that nobody told of any origin."""
    async with fed(INVENTORY, cache(new_database)) as service:
        yield service


@pytest.fixture(scope="module")
def served(new_database: NewDatabase) -> Iterator[str]:
    """The address of orders on a real socket, open to the page."""
    with serving(ORDERS, new_database("orders"), cors_origins=PAGE) as address:
        yield address


def readable(answer: httpx.Response) -> set[str]:
    """The headers that the page may read, besides those it always may; the page itself must be allowed."""
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in answer.headers["vary"]
    return set(answer.headers["access-control-expose-headers"].split(", "))


async def test_a_page_places_an_order_and_reads_where_it_goes_on(orders: Fed) -> None:
    headers = {**JSON, "Origin": PAGE, "Idempotency-Key": "from-a-page"}
    placed = await orders.client.post("/orders", content=json.dumps(ORDER), headers=headers)
    assert placed.status_code == 202
    assert {"Location", "Retry-After", "X-Correlation-Id"} <= readable(placed)
    again = await orders.client.post("/orders", content=json.dumps(ORDER), headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert "Idempotency-Replayed" in readable(again)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/orders", b"{}", 422),
        ("POST", "/orders", b"{", 400),
        ("POST", "/orders", b" " * 70_000, 413),
        ("GET", "/orders/unknown", None, 404),
        ("GET", "/orders/%FF", None, 400),
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/orders", None, 405),
        ("GET", "/orders/unknown/stream", None, 404),
        ("GET", "/health/live", None, 200),
        ("GET", "/openapi.json", None, 200),
    ],
)
async def test_a_page_reads_every_answer(
    orders: Fed, method: str, path: str, content: bytes | None, status: int
) -> None:
    answer = await orders.client.request(method, path, content=content, headers={**JSON, "Origin": PAGE})
    assert answer.status_code == status
    assert "X-Correlation-Id" in readable(answer)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/menu", f"Origin: {PAGE}", "X-Long: " + "x" * 17_000), 431),
        (request("/" + "x" * 9_000, f"Origin: {PAGE}"), 414),
        (request("/menu", f"Origin: {PAGE}", "Host: another"), 400),
        (request("/menu", f"Origin: {PAGE}", "Host: a", "Access-Control-Request-Method: GET", method="OPTIONS"), 400),
    ],
    ids=["headers", "target", "host", "preflight"],
)
async def test_a_page_reads_what_a_connection_refuses_by_itself(served: str, sent: bytes, status: int) -> None:
    async with wire(served) as line:
        await line.send(sent)
        reply = await line.reply()
    reply.problem(status)
    assert reply.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in reply.headers["vary"]


async def test_a_page_of_elsewhere_does_not_read_what_a_connection_refuses(served: str) -> None:
    async with wire(served) as line:
        await line.send(request("/menu", "Origin: http://elsewhere.example", "Host: another"))
        reply = await line.reply()
    reply.problem(400)
    assert "access-control-allow-origin" not in reply.headers


async def test_a_page_follows_an_order(orders: Fed) -> None:
    placed = (await orders.client.post("/orders", json=ORDER)).json()
    told = ("payments.payment-failed", "inventory.stock-released", "payments.payment-voided")
    await orders.feed(*(fact(name, placed["id"]) for name in told))
    async with asyncio.timeout(10):
        stream = await orders.client.get(f"/orders/{placed['id']}/stream", headers={"Origin": PAGE})
    assert stream.headers["content-type"].startswith("text/event-stream")
    readable(stream)


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/orders", "POST", "content-type,idempotency-key"),
        ("/orders", "POST", "authorization,content-type"),
        ("/orders/one/cancel", "POST", "content-type, x-correlation-id"),
        ("/orders/one/refunds", "POST", "content-type,idempotency-key"),
        ("/menu", "POST", "content-type,idempotency-key"),
        ("/menu/cola", "PATCH", "content-type"),
        ("/menu/cola", "DELETE", "idempotency-key"),
        ("/stock/cola", "PATCH", "Content-Type,traceparent"),
        ("/stock/cola", "DELETE", "authorization"),
        ("/orders/one/stream", "GET", "last-event-id"),
        ("/nowhere", "PUT", "content-type"),
    ],
)
async def test_a_preflight_allows_what_the_api_takes(orders: Fed, path: str, method: str, headers: str) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    answer = await orders.client.options(path, headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {each.strip().lower() for each in headers.split(",")} <= set(allowed)
    assert "x-correlation-id" in answer.headers


async def test_a_page_of_the_staff_keeps_the_menu(orders: Fed) -> None:
    headers = {**JSON, "Origin": PAGE}
    pinsa = {"item": "pinsa", "name": "Pinsa", "unit_price": {"amount": 900, "currency": "GBP"}, "baked": True}
    added = await orders.client.post("/menu", json=pinsa, headers=headers)
    assert (added.status_code, "Location" in readable(added)) == (201, True)
    changed = await orders.client.patch("/menu/pinsa", json={"sold_out": True}, headers=headers)
    assert (changed.status_code, changed.json()["sold_out"]) == (200, True)
    readable(changed)
    picture = await orders.client.get("/menu/pinsa/picture", headers={"Origin": PAGE})
    readable(picture)
    retired = await orders.client.delete("/menu/pinsa", headers=headers)
    assert (retired.status_code, retired.content) == (204, b"")
    readable(retired)
    refused = await orders.client.post("/orders/unknown/refunds", json={"reason": "cold"}, headers=headers)
    assert (refused.status_code, "X-Correlation-Id" in readable(refused)) == (404, True)


@pytest.mark.parametrize("origin", ["http://localhost:5174", "https://localhost:5173", "https://evil.example", "null"])
async def test_a_page_of_another_origin_may_read_nothing(orders: Fed, origin: str) -> None:
    for asked in ({}, {"Access-Control-Request-Method": "POST"}):
        for method in ("GET", "OPTIONS"):
            answer = await orders.client.request(method, "/orders", headers={"Origin": origin, **asked})
            assert answer.status_code in (200, 204)
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["http://localhost:5174", "https://localhost:5173", "https://evil.example", "null"])
async def test_a_page_of_another_origin_changes_nothing(orders: Fed, origin: str) -> None:
    """Without a body, as a form sends it: no browser asks first."""
    placed = (await orders.client.post("/orders", json=ORDER)).json()
    cancel = f"/orders/{placed['id']}/cancel"
    refused = await orders.client.post(cancel, headers={"Origin": origin})
    assert (refused.status_code, refused.json()["title"]) == (403, "Foreign page")
    assert (await orders.client.get(f"/orders/{placed['id']}")).json()["status"] == "placed"
    ours = await orders.client.post(cancel, headers={"Origin": f"http://{orders.client.base_url.host}"})
    assert ours.is_success


async def test_nobody_is_allowed_unless_it_is_said(to_none: Fed) -> None:
    answer = await to_none.client.get("/stock", headers={"Origin": PAGE})
    assert [name for name in answer.headers if name.startswith("access-control")] == []


async def test_a_star_allows_every_page(new_database: NewDatabase) -> None:
    async with open_to("*", new_database) as orders:
        answer = await orders.client.get("/menu", headers={"Origin": "https://anywhere.example"})
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:5173/", "localhost:5173", "HTTP://localhost", "http://localhost:80", "https://a.b:443", "null",
     "http://a/b", "http://*.example", f"{PAGE};{PAGE}"],
)  # fmt: skip
async def test_what_is_no_origin_is_refused_at_start(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICELINE_CORS_ORIGINS", origin)
    with pytest.raises(ValidationError, match="is no origin"):
        Settings(database_url="postgresql://nobody@nowhere/nothing")


@pytest.mark.parametrize("origin", ["http://[::1]:5173", "https://shop.example", "capacitor://localhost", "", "*"])
async def test_origins_are_written_as_browsers_write_them(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICELINE_CORS_ORIGINS", origin)
    assert Settings(database_url="postgresql://nobody@nowhere/nothing").origins == ((origin,) if origin else ())


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/stock", "GET, HEAD, OPTIONS, POST"),
        ("/stock/any", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/stock/any/adjustments", "OPTIONS, POST"),
        ("/recipes/any", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_tells_the_methods_of_a_path(to_none: Fed, path: str, allowed: str) -> None:
    answer = await to_none.client.options(path)
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (204, b"", allowed)


async def test_options_of_a_path_that_is_none_is_a_404(to_none: Fed) -> None:
    assert (await to_none.client.options("/nowhere")).status_code == 404
    assert (await to_none.client.options("/stock/any/more/still")).status_code == 404


async def test_the_front_door_names_what_there_is(to_none: Fed) -> None:
    told = (await to_none.client.get("/")).json()
    assert (told["service"], told["docs"], told["openapi"]) == ("inventory", "/docs", "/openapi.json")
    assert (
        told["paths"]["/stock"]["GET"]
        == "Lists the stock of all SKUs, by SKU, or of those alone of which there is too little or too much."
    )
    assert {"/health/ready", "/metrics", "/schemas", "/dead-letters", "/jobs", "/recipes/{item}"} <= told[
        "paths"
    ].keys()
    readable = (path for path, methods in told["paths"].items() if "GET" in methods and "{" not in path)
    needed = {"/data-keys": {"name": f"inventory.{'A' * 22}"}, "/data-keys/of": {"person": "ada"}}
    for path in (told["docs"], told["openapi"], *readable):
        assert (await to_none.client.get(path, params=needed.get(path))).status_code == 200, path


async def test_docs_need_nothing_from_elsewhere(to_none: Fed) -> None:
    page = (await to_none.client.get("/docs")).text
    assert re.findall(r"https?://", page) == []
    named = set(re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page))
    addresses = {first or second for first, second in named}
    assert addresses == {"docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "docs/favicon.png", "openapi.json"}
    for address in addresses:
        asset = await to_none.client.get(f"/{address}")
        assert asset.status_code == 200
        assert asset.content
    style = (await to_none.client.get("/docs/swagger-ui.css")).text
    assert re.findall(r"@import|url\(['\"]?(?!['\"]|data:)", style) == []


@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=a", "bytes=99999999-", "bytes=0-1,5-6"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_asset_of_the_docs_is_sent_whole_whatever_range_is_wanted(
    to_none: Fed, method: str, wanted: str
) -> None:
    asset = await to_none.client.request(method, "/docs/swagger-ui.css", headers={"Range": wanted})
    assert (asset.status_code, asset.headers["accept-ranges"]) == (200, "none")
    assert len(asset.content) == (int(asset.headers["content-length"]) if method == "GET" else 0)


@pytest.mark.parametrize("name", ["redoc.standalone.js", "nothing.js", "..%2fcore.py", "__init__.py"])
async def test_docs_serve_nothing_but_their_assets(to_none: Fed, name: str) -> None:
    assert (await to_none.client.get(f"/docs/{name}")).status_code == 404
