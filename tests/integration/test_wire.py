"""A server and what comes over its connections: limits, refusals, hang-ups. A real process, raw sockets."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from backbone.http.wire import connection, server
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.raw_http import ORDER, Reply, Wire, placing, request, wire
from tests.integration.service_process import ServiceProcess, orders_api
from tests.processes import MASTER_KEY
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HASTY = 0.4
CHUNKED = request("/orders", "Transfer-Encoding: chunked", "Content-Type: application/json", method="POST")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    log = tmp_path_factory.mktemp("wire") / "orders.log"
    async with orders_api(new_database, log, requests_in_flight="50", master_key=MASTER_KEY) as orders:
        yield orders


@pytest_asyncio.fixture(loop_scope="module")
async def line(orders: ServiceProcess) -> AsyncIterator[Wire]:
    async with wire(str(orders.client.base_url)) as line:
        yield line


@pytest.fixture
def hasty(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with little patience."""
    monkeypatch.setattr(connection, "COMPLETE_WITHIN", HASTY)
    monkeypatch.setattr(server, "KEEP_ALIVE", HASTY)
    with serving(SERVICE, new_database("orders")) as address:
        yield address


async def refused(line: Wire, sent: bytes, status: int) -> Reply:
    """Refused with a whole problem document, after which the connection is over."""
    await line.send(sent)
    reply = await line.reply()
    reply.problem(status)
    assert reply.is_last
    assert await line.ended() == b""
    return reply


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/orders", "X-Long: " + "x" * 17_000), 431),
        (request("/orders", *(f"X-{number}: {'x' * 90}" for number in range(200))), 431),
        (placing("Idempotency-Key: " + "x" * 17_000), 431),
        (request("/orders?status=" + "x" * 9_000), 414),
        (request("/orders") * 100 + request("/orders", "X-Long: " + "x" * 17_000), 431),
    ],
    ids=["one header", "many headers", "the express lane", "the target", "behind others"],
)
async def test_a_head_that_is_too_large_is_refused(line: Wire, sent: bytes, status: int) -> None:
    await line.send(sent)
    while (reply := await line.reply()).status == 200:
        pass
    reply.problem(status)
    assert reply.is_last


@pytest.mark.parametrize(
    ("begin", "more", "status"),
    [
        (b"GET /orders HTTP/1.1\r\nHost: a\r\nX: ", b"x" * 65_536, 431),
        (b"GET /orders HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n" * 10_000, 431),
        (b"GET /", b"x" * 65_536, 414),
        (CHUNKED + b"1;", b"x" * 65_536, 431),
        (CHUNKED + b"0\r\n", b"X-Trailer: y\r\n" * 5_000, 431),
    ],
    ids=["one header", "many headers", "the target", "a chunk's extension", "trailers"],
)
async def test_a_head_that_never_ends_is_refused_long_before_all_of_it_came(
    line: Wire, begin: bytes, more: bytes, status: int
) -> None:
    await line.send(begin)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 60_000_000:
            await line.send(more)
            sent += len(more)
            await asyncio.sleep(0)  # or the reply is not read as long as there is room to write

    flooding = asyncio.create_task(flood())
    reply = await line.reply()
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    reply.problem(status)
    assert sent < 60_000_000


async def test_headers_just_within_the_limit_are_read(line: Wire) -> None:
    await line.send(request("/health/live", "X-Long: " + "x" * (16_000 - len(request()))))
    assert (await line.reply()).status == 200


async def test_a_body_in_single_bytes_with_extensions_is_read(line: Wire) -> None:
    chunks = b"".join(b"1;n=v\r\n" + bytes([each]) + b"\r\n" for each in ORDER)
    await line.send(CHUNKED + chunks + b"0\r\n\r\n")
    assert (await line.reply()).status == 202


async def test_a_trailer_is_no_header(line: Wire) -> None:
    """Two orders under what looks like one key, and a correlation id that nobody may set that late."""
    body = b"%x\r\n%b\r\n0\r\nX-Correlation-Id: 01890000-0000-7000-8000-000000000000\r\n\r\n" % (len(ORDER), ORDER)
    await line.send(CHUNKED + body)
    reply = await line.reply()
    assert reply.status == 202
    assert reply.headers["x-correlation-id"] != "01890000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX y: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        placing("Transfer-Encoding: chunked"),
        placing(f"Content-Length: {len(ORDER) + 1}"),
        request("/orders", "Content-Length: -3", method="POST"),
        b"POST /orders HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"3\r\nabcd\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem_like_any_other(line: Wire, sent: bytes) -> None:
    await refused(line, sent, 400)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (request("/menu", method="GETS"), 501),
        (request("/orders", "Transfer-Encoding: gzip, chunked", method="POST") + b"0\r\n\r\n", 501),
    ],
)
async def test_what_is_not_spoken_here_says_so(line: Wire, sent: bytes, status: int) -> None:
    await refused(line, sent, status)


@pytest.mark.parametrize(
    "host",
    ["", "Host:\r\n", "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n", "Host: a/b\r\n", "Host: a b\r\n"]
    + [f"Host: {each}\r\n" for each in ("a@b", "a:b", "a:65536", "[::1", "[::g]", "::1", "[v1.x]", "é", "%zz")],
)
@pytest.mark.parametrize("target", ["/health/live", "/orders", "/nowhere"])
async def test_a_request_without_one_sound_host_is_refused(line: Wire, host: str, target: str) -> None:
    await refused(line, f"GET {target} HTTP/1.1\r\n{host}\r\n".encode(), 400)


async def test_the_express_lane_asks_for_a_host_as_well(line: Wire) -> None:
    await refused(line, placing().replace(b"Host: shop.example", b"Host: a/b"), 400)


@pytest.mark.parametrize(
    "host", ["a", "localhost:8001", "127.0.0.1:80", "[::1]", "[2001:db8::ffff:1.2.3.4]:443", "orders_api-1.shop.", "a:"]
)
async def test_a_sound_host_is_taken(line: Wire, host: str) -> None:
    await line.send(f"GET /health/live HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (await line.reply()).status == 200


@pytest.mark.parametrize("target", ["http://shop.example/health/live", "http://shop.example:80/health/live?a=b"])
async def test_a_whole_uri_is_a_target_too(line: Wire, target: str) -> None:
    await line.send(request(target))
    assert (await line.reply()).status == 200


async def test_a_uri_without_a_path_asks_for_the_root(line: Wire) -> None:
    await line.send(request("http://shop.example"))
    reply = await line.reply()
    assert (reply.status, reply.json()["docs"]) == (200, "/docs")


async def test_http_1_0_may_do_without_a_host(line: Wire) -> None:
    await line.send(b"GET /health/live HTTP/1.0\r\n\r\n")
    assert (await line.reply()).status == 200
    assert await line.ended() == b""


@pytest.mark.parametrize(
    "sent",
    [request("/menu"), request("/docs"), request("/nowhere"), placing(), b"GET / HTTP/1.1\r\n\r\n"],
    ids=["an answer", "a page", "a refusal", "the express lane", "a refusal of the connection"],
)
async def test_every_answer_tells_browsers_what_not_to_do_with_it(line: Wire, sent: bytes) -> None:
    await line.send(sent)
    headers = (await line.reply()).headers
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert headers["content-security-policy"] == "base-uri 'none'; frame-ancestors 'none'; object-src 'none'"


async def test_a_picture_is_no_page_either(line: Wire) -> None:
    """What is drawn in it is whoever's who wrote the menu: no browser is to take it for anything else."""
    await line.send(request("/menu/margherita/picture"))
    headers = (await line.reply()).headers
    assert (headers["content-type"], headers["x-content-type-options"]) == ("image/svg+xml", "nosniff")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(request("/orders"), "no-store"), (placing(), "no-store"), (request("/docs/swagger-ui.css"), "max-age=3600")],
    ids=["an answer", "the express lane", "one that may be kept"],
)
async def test_an_answer_is_kept_only_where_it_says_so(line: Wire, sent: bytes, kept: str) -> None:
    await line.send(sent)
    assert (await line.reply()).headers["cache-control"] == kept


@pytest.mark.parametrize("wish", ["h2c", "websocket"])
async def test_an_upgrade_is_a_wish_that_is_not_granted(line: Wire, wish: str) -> None:
    await line.send(request("/health/live", "Connection: Upgrade", f"Upgrade: {wish}") + request("/nowhere"))
    assert [(await line.reply()).status, (await line.reply()).status] == [200, 404]


async def test_a_refusal_waits_its_turn(line: Wire) -> None:
    """Whoever asked first must not read the answer of whoever came after as theirs."""
    await line.send(placing() + request("/menu") + b"GET / HTTP/1.1\r\n\r\n" + request("/menu"))
    replies = [await line.reply() for _ in range(3)]
    assert [reply.status for reply in replies] == [202, 200, 400]
    assert await line.ended() == b""


async def test_a_refusal_is_counted(orders: ServiceProcess, line: Wire) -> None:
    await refused(line, b"GET /orders HTTP/1.1\r\n\r\n", 400)
    counted = (await orders.client.get("/metrics")).text
    assert any(
        each.startswith("sliceline_http_requests_total") and 'status="400"' in each for each in counted.splitlines()
    )


@pytest.mark.parametrize("begun", [b"GET /menu HT", b"GET /menu HTTP/1.1\r\nX: ", CHUNKED + b"3\r\nab", b""])
async def test_a_request_that_is_never_complete_is_given_up(hasty: str, begun: bytes) -> None:
    async with wire(hasty) as line:
        await line.send(request("/menu"))
        assert (await line.reply()).status == 200
        await line.send(begun)
        if begun:
            (await line.reply()).problem(408)
        assert await line.ended() == b""


async def test_a_client_that_never_says_a_word_is_given_up(hasty: str) -> None:
    async with wire(hasty) as line:
        assert await line.ended() == b""


async def test_a_request_that_drips_in_is_given_up_however_steadily_it_drips(hasty: str) -> None:
    async with wire(hasty) as line:
        await line.send(b"GET /menu HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                await line.send(b"X: y\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        (await line.reply()).problem(408)
        dripping.cancel()


async def test_requests_that_come_in_time_are_served_however_long_they_come(hasty: str) -> None:
    async with wire(hasty) as line:
        for _ in range(4):
            await line.send(request("/menu")[:20])
            await asyncio.sleep(HASTY / 2)
            await line.send(request("/menu")[20:])
            assert (await line.reply()).status == 200


async def test_a_client_that_hangs_up_with_requests_under_way_leaves_no_trace(orders: ServiceProcess) -> None:
    address = str(orders.client.base_url)
    for sent in (placing() * 20, request("/menu") * 50, (placing() + request("/orders")) * 10, placing() + b"GET /or"):
        for _ in range(5):
            async with wire(address) as line:
                await line.send(sent)
    assert (await orders.client.get("/menu")).status_code == 200
    await eventually(lambda: is_quiet(orders), 10)
    assert [each for each in orders.lines() if each["level"] in ("warning", "error", "critical")] == []


async def is_quiet(orders: ServiceProcess) -> bool:
    """Whether what was under way has been served: a full house answers 429."""
    answers = await asyncio.gather(*(orders.client.get("/menu") for _ in range(40)))
    return all(answer.status_code == 200 for answer in answers)
