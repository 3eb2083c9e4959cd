"""HEAD is GET without its body, on every path there is, and the connection goes on."""

import asyncio
from collections.abc import Iterator

import pytest

from backbone.application import create_application
from backbone.context import Context
from backbone.ids import new_id
from services.orders.service import SERVICE
from services.orders.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.raw_http import Reply, Wire, placing, request, wire

ALWAYS_NEW = {"date", "x-correlation-id"}
# How long a body is says a GET that sends it in pieces with the pieces; and /metrics counts the asking.
OF_THE_BODY = {"transfer-encoding", "content-length"}


@pytest.fixture(scope="module")
def address(new_database: NewDatabase) -> Iterator[str]:
    with serving(SERVICE, new_database("orders")) as address:
        yield address


async def placed(address: str) -> str:
    async with wire(address) as line:
        await line.send(placing())
        return (await line.reply()).headers["location"]


async def both(address: str, target: str, *headers: str) -> tuple[Reply, Reply]:
    """What HEAD and GET are answered; after the HEAD, the connection must be as good as before."""
    async with wire(address) as line, wire(address) as other:
        await line.send(request(target, *headers, method="HEAD"))
        head = await line.reply(bodiless=True)
        await is_sound(line)
        await other.send(request(target, *headers))
        return head, await other.reply()


async def is_sound(line: Wire) -> None:
    await line.send(request("/nowhere"))
    (await line.reply()).problem(404)


def paths() -> list[str]:
    """Every path that has a GET, of an order that is there and of one that is not."""
    context: Context[Settings] = Context(Settings(database_url="postgresql://not-used"), None)  # type: ignore[arg-type]
    described = create_application(SERVICE, context).openapi()["paths"]
    return ["/docs", "/openapi.json", *(path for path, operations in described.items() if "get" in operations)]


@pytest.mark.parametrize("path", paths())
async def test_head_is_answered_as_get_is(address: str, path: str) -> None:
    location = await placed(address)
    for order in {location, f"/orders/{new_id()}"} if "{order}" in path else {location}:
        target = path.replace("/orders/{order}", order).replace("{", "").replace("}", "")
        head, get = await both(address, target)
        assert head.status == get.status
        left_out = ALWAYS_NEW | (OF_THE_BODY if path == "/metrics" or "stream" in path else set())
        shown = [{name: value for name, value in each.headers.items() if name not in left_out} for each in (head, get)]
        assert shown[0] == shown[1]


async def test_a_head_of_a_stream_does_not_wait_for_the_order(address: str) -> None:
    location = await placed(address)
    async with asyncio.timeout(3):
        head, _ = await both(address, f"{location}/stream")
    assert head.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("/orders/x/cancel", "OPTIONS, POST"),
        ("/orders", "GET, HEAD, OPTIONS, POST"),
        ("/menu", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_a_method_that_is_not_there_is_told_of_those_that_are(address: str, target: str, allowed: str) -> None:
    async with wire(address) as line:
        await line.send(request(target, method="DELETE"))
        reply = await line.reply()
        reply.problem(405)
        assert reply.headers["allow"] == allowed


async def test_a_head_where_only_post_is_says_so_without_a_body(address: str) -> None:
    async with wire(address) as line:
        await line.send(request("/orders/x/cancel", method="HEAD"))
        assert (await line.reply(bodiless=True)).status == 405
        await is_sound(line)


async def test_a_head_is_counted_as_one(address: str) -> None:
    async with wire(address) as line:
        await line.send(request("/menu", method="HEAD") + request("/metrics"))
        await line.reply(bodiless=True)
        assert (
            'sliceline_http_requests_total{method="HEAD",route="/menu",status="200"}'
            in (await line.reply()).body.decode()
        )
