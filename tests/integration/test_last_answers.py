"""Answers that end their connection: each reaches its client, whatever the client still sends, or no longer does."""

import asyncio
import http.client
import socket
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from backbone.http.wire import last_words
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.raw_http import PATIENCE, Wire, placing, request, wire
from tests.integration.service_process import ServiceProcess, orders_api
from tests.issuing import SOMEBODY, by

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "Content-Type: application/json"
LARGE = request("/orders", JSON, "Content-Length: 30000000", method="POST")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    async with orders_api(new_database, tmp_path_factory.mktemp("last") / "orders.log") as orders:
        yield orders


@pytest.fixture
def address(orders: ServiceProcess) -> str:
    return str(orders.client.base_url)


@pytest_asyncio.fixture(loop_scope="module")
async def line(address: str) -> AsyncIterator[Wire]:
    async with wire(address) as line:
        yield line


@pytest.fixture
def curt(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that leaves soon."""
    monkeypatch.setattr(last_words, "LINGER", 0.1)
    with serving(SERVICE, new_database("orders")) as address:
        yield address


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_a_client_that_sends_all_before_it_reads_learns_that_it_was_too_much(
    address: str, connection: str
) -> None:
    def post() -> int:
        client = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
        headers = {"Content-Type": "application/json", "Connection": connection, **by(SOMEBODY)}
        client.request("POST", "/orders", b"x" * 30_000_000, headers)
        answer = client.getresponse()
        answer.read()
        return answer.status

    assert [await asyncio.to_thread(post) for _ in range(5)] == [413] * 5


async def test_a_client_that_takes_its_time_to_send_is_heard_out(curt: str) -> None:
    host, port = curt.removeprefix("http://").split(":")

    def post() -> bytes:
        with socket.create_connection((host, int(port)), PATIENCE) as client:
            client.sendall(LARGE)
            for _ in range(30):
                client.sendall(b"x" * 1000)
                time.sleep(0.02)
            return client.recv(100)

    assert (await asyncio.to_thread(post)).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)])
async def test_an_answer_before_the_body_is_the_last(line: Wire, expects: tuple[str, ...]) -> None:
    """The client may leave the body out now: what it sends next, nobody could tell from one."""
    await line.send(request("/orders", JSON, "Content-Length: 100000", *expects, method="POST"))
    if not expects:
        await line.send(b"{")
    reply = await line.reply()
    reply.problem(413)
    assert reply.is_last
    await line.send(request("/menu"))
    assert await line.ended() == b""


@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)])
async def test_a_connection_goes_on_after_a_body_that_came_late(line: Wire, expects: tuple[str, ...]) -> None:
    head, _, body = placing(*expects).partition(b"\r\n\r\n")
    for _ in range(2):
        await line.send(head + b"\r\n\r\n")
        if expects:
            assert (await line.reply()).status == 100
        await line.send(body[:10])
        await line.send(body[10:])
        reply = await line.reply()
        assert (reply.status, reply.is_last) == (202, False)


async def test_http_1_0_is_told_nothing_before_its_answer(line: Wire) -> None:
    head, _, body = placing("Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0").partition(b"\r\n\r\n")
    await line.send(head + b"\r\n\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await line.reader.read(1)
    await line.send(body)
    assert (await line.reply()).status == 202


async def test_http_1_0_gets_a_stream_without_chunks(address: str, line: Wire) -> None:
    order = await an_order(address)
    let_in = f"Authorization: {by(SOMEBODY)['Authorization']}"
    await line.send(f"GET /orders/{order}/stream HTTP/1.0\r\n{let_in}\r\n\r\n".encode())
    reply = await line.reply()
    assert (reply.status, reply.is_last) == (200, True)
    assert "transfer-encoding" not in reply.headers
    async with asyncio.timeout(PATIENCE):
        assert (await line.reader.readuntil(b"\n\n")).startswith(b"retry: ")
        assert (await line.reader.readuntil(b"\n\n")).startswith(b"data: {")


@pytest.mark.parametrize("count", [1, 20])
async def test_a_client_that_sends_nothing_more_is_answered(line: Wire, count: int) -> None:
    # In one breath: an answer that is quicker than the end of what is sent cannot know that it is the last.
    line.writer.write(placing() * count)
    line.writer.write_eof()
    replies = [await line.reply() for _ in range(count)]
    assert [reply.status for reply in replies] == [202] * count
    assert [reply.is_last for reply in replies] == [False] * (count - 1) + [True]
    assert await line.ended() == b""


async def test_a_client_that_ends_within_a_request_is_left(line: Wire) -> None:
    await line.send(placing()[:-1])
    line.writer.write_eof()
    assert await line.ended() == b""


async def an_order(address: str) -> str:
    """A new order, which somebody may follow."""
    async with wire(address) as line:
        await line.send(placing())
        return str((await line.reply()).json()["id"])
