"""Requests that wish for another protocol: the wish is ignored, and nothing else about them. A real process."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import NewDatabase
from tests.integration.raw_http import ORDER, Wire, placing, request, wire
from tests.integration.service_process import ServiceProcess, orders_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

WISH = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
JSON = "Content-Type: application/json"
IN_CHUNKS = (
    request("/orders", JSON, "Transfer-Encoding: chunked", *WISH, method="POST")
    + b"%x\r\n%b\r\n" % (20, ORDER[:20])
    + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ORDER) - 20, ORDER[20:])
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    async with orders_api(new_database, tmp_path_factory.mktemp("upgrades") / "orders.log") as orders:
        yield orders


@pytest_asyncio.fixture(loop_scope="module")
async def line(orders: ServiceProcess) -> AsyncIterator[Wire]:
    async with wire(str(orders.client.base_url)) as line:
        yield line


async def statuses(line: Wire, count: int) -> list[int]:
    return [(await line.reply()).status for _ in range(count)]


@pytest.mark.parametrize("sent", [placing(*WISH), IN_CHUNKS], ids=["plain", "chunks"])
@pytest.mark.parametrize("pieces", ["whole", "head first", "byte by byte"])
async def test_a_request_with_a_wish_keeps_its_body(line: Wire, sent: bytes, pieces: str) -> None:
    head = len(sent.split(b"\r\n\r\n")[0]) + 4
    size = {"whole": len(sent), "head first": head, "byte by byte": 1}[pieces]
    for begin in range(0, len(sent), size):
        await line.send(sent[begin : begin + size])
        await asyncio.sleep(0)
    await line.send(request("/menu"))
    assert await statuses(line, 2) == [202, 200]


@pytest.mark.parametrize("wish", ["x", "websocket"])
async def test_a_body_behind_a_wish_is_never_a_request(line: Wire, wish: str) -> None:
    inner = request("/menu")
    await line.send(request("/orders", JSON, "Connection: Upgrade", f"Upgrade: {wish}", method="POST", body=inner))
    (await line.reply()).problem(400)
    await line.send(request("/nowhere"))
    assert await statuses(line, 1) == [404]


async def test_a_request_with_a_wish_may_be_the_last_of_its_connection(line: Wire) -> None:
    await line.send(placing("Connection: upgrade, close", "Upgrade: h2c"))
    reply = await line.reply()
    assert (reply.status, reply.is_last) == (202, True)
    assert await line.ended() == b""


async def test_a_thousand_wishes_at_once_are_as_many_requests(line: Wire) -> None:
    await line.send(request("/health/live", *WISH) * 1000 + placing(*WISH) + request("/nowhere"))
    assert await statuses(line, 1002) == [200] * 1000 + [202, 404]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/orders", *WISH, "X-Long: " + "x" * 17_000), 431),
        (request("/orders", *WISH, "Host: other.example"), 400),
        (request("/orders", *WISH, "Transfer-Encoding: gzip, chunked", method="POST") + b"0\r\n\r\n", 501),
        (IN_CHUNKS.replace(b"\r\n14\r\n", b"\r\nzz\r\n"), 400),
        (b"CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\n\r\n" + request("/menu"), 400),
        (b"CONNECT http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n" + request("/menu"), 400),
    ],
    ids=["head", "host", "coding", "chunk", "tunnel", "tunnel to a URI"],
)
async def test_a_wish_excuses_nothing(line: Wire, sent: bytes, status: int) -> None:
    await line.send(sent)
    reply = await line.reply()
    reply.problem(status)
    assert reply.is_last
    assert await line.ended() == b""
