"""The front door, a real Caddy with its own configuration: what gets through it to a service, and what does not."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from backbone.http.bodies import LARGEST
from backbone.http.browsers import TOLD
from backbone.http.clients import Clients
from backbone.http.wire import connection
from backbone.http.wire.server import Server
from backbone.settings import Settings
from deployment.front_door import Limits, caddyfile, is_outside, outside
from local import probes
from local.ports import HOST, free_port
from local.program import Program, run
from tests.all_services import SERVICES
from tests.documents import every_route
from tests.integration.raw_http import Wire

PROGRAM = shutil.which("caddy")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        PROGRAM is None and "SLICELINE_TEST_WHOLE" not in os.environ,
        reason="there is no caddy here; Debian's package has it",
    ),
]
HASTY = 0.7
"""Seconds that the door, and the server behind it, wait for anything."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SMUGGLED = b"GET /dead-letters/smuggled HTTP/1.1\r\nHost: localhost\r\nX-Rest: "
"""What would be a request of its own to a service that finds the end of the one before elsewhere than the door."""


@dataclass
class Behind:
    """What stands behind the door: a server as every service has it, that writes down what it is asked."""

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def application(self) -> FastAPI:
        application = FastAPI(openapi_url=None)
        application.state.context = None
        clients = Clients(Settings(database_url="postgresql://orders:secret@127.0.0.1/orders", trusted_proxies=HOST))

        @application.api_route("/{path:path}", methods=list(METHODS))
        async def answer(request: Request) -> Response:
            target = request.scope["raw_path"].decode()
            self.asked.append((request.method, target))
            if target.endswith("/stream"):
                return StreamingResponse(_long(), media_type="text/event-stream")
            with contextlib.suppress(ClientDisconnect):
                self.bodies.append(await request.body())
            client = clients.of(request.scope).name
            return JSONResponse({"target": target, "headers": dict(request.headers), "client": client})

        return application


async def _long() -> AsyncIterator[bytes]:
    """A stream with a pause that is longer than the door waits for a request."""
    yield b"data: first\n\n"
    await asyncio.sleep(2 * HASTY)
    yield b"data: last\n\n"


@dataclass(frozen=True)
class Door:
    """Where the door is, and by whom it is known."""

    port: int
    authority: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def trust(self, *protocols: str) -> ssl.SSLContext:
        trust = ssl.create_default_context(cafile=str(self.authority))
        trust.set_alpn_protocols([*protocols])
        return trust

    @asynccontextmanager
    async def line(self, *protocols: str, name: str = "localhost") -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection(
            HOST, self.port, ssl=self.trust(*protocols), server_hostname=name, ssl_handshake_timeout=10
        )
        try:
            yield Wire(reader, writer)
        finally:
            writer.transport.abort()

    def is_open(self) -> bool:
        """Whether it has its certificate, which it gets a moment after it began to listen."""
        if not self.authority.exists():
            return False
        try:
            with socket.create_connection((HOST, self.port), timeout=2) as plain:
                self.trust().wrap_socket(plain, server_hostname="localhost").close()
        except OSError:
            return False
        return True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind() -> AsyncIterator[Behind]:
    with socket.create_server((HOST, 0)) as listening:
        behind = Behind(listening.getsockname()[1])
        server = Server(behind.application())
        serving = asyncio.create_task(server.serve([listening]))
        yield behind
        server.should_exit = True
        await serving


def for_this_caddy(text: str) -> str:
    """The configuration; Debian's older program has no buffers that are safe."""
    assert PROGRAM
    version = subprocess.run((PROGRAM, "version"), capture_output=True, text=True, check=True).stdout
    return re.sub(r"\trequest_buffers \d+\n", "", text) if version.startswith("2.6") else text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(behind: Behind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    assert PROGRAM, "caddy is missing: install Debian's package of that name"
    folder = tmp_path_factory.mktemp("door")
    limits = Limits(
        port=free_port(), health=free_port(), read_header=f"{HASTY}s", read_body=f"{HASTY}s", idle=f"{HASTY}s"
    )
    (folder / "Caddyfile").write_text(for_this_caddy(caddyfile(SERVICES, lambda _: f"{HOST}:{behind.port}", limits)))
    command = (PROGRAM, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile")
    env = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    door = Door(limits.port, folder / "caddy/pki/authorities/local/root.crt")

    def is_ready() -> bool:
        return probes.http_ready(limits.health, "/") and door.is_open()

    caddy = await asyncio.to_thread(
        run, Program("caddy", command, ready=is_ready, env=env, port=limits.port), folder / "caddy.log"
    )
    try:
        yield door
    finally:
        await asyncio.to_thread(caddy.stop)


@pytest_asyncio.fixture(loop_scope="module")
async def client(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=door.url, verify=door.trust()) as client:
        yield client


@pytest.fixture(autouse=True)
def nobody_has_asked(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    behind.asked.clear()
    behind.bodies.clear()
    monkeypatch.setattr(connection, "COMPLETE_WITHIN", HASTY)


def sent(target: str, *headers: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> bytes:
    """A request as it stands here, to the door by its name."""
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


# What gets through


async def test_the_routes_for_outside_get_through_and_no_other(client: httpx.AsyncClient, behind: Behind) -> None:
    """Every route of every service, those that all have as well, asked of a real door."""
    through = {
        (method, each.template) for service in SERVICES.values() for each in outside(service) for method in each.methods
    }
    routes = {(method, each.template) for name in SERVICES for each in every_route(name) for method in each.methods}
    assert len(routes) > len(through) + 50
    for method, template in sorted(routes):
        path = re.sub(r"\{[^}]*\}", "7", template)
        answer = await client.request(method, path)
        assert answer.status_code == (200 if (method, template) in through else 404), (method, path)
    assert len(behind.asked) == len(through)


async def test_a_refusal_of_the_door_is_a_problem_and_tells_browsers_as_much_as_any_answer(
    client: httpx.AsyncClient,
) -> None:
    for answer in (await client.get("/metrics"), await client.get("/menu")):
        told = answer.headers
        assert {name: told[name] for name, _ in TOLD} == dict(TOLD)
        assert told["Strict-Transport-Security"] == "max-age=31536000"
        assert not {"server", "via"} & told.keys()
    refused = await client.get("/metrics")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


async def test_an_event_stream_is_told_on_at_once_and_lasts_longer_than_a_request_may_take(door: Door) -> None:
    async with door.line() as line:
        await line.send(sent("/orders/7/stream"))
        async with asyncio.timeout(1.8 * HASTY):
            assert b"data: first" in await line.reader.readuntil(b"first\n\n")
        assert b"data: last" in await line.reader.readuntil(b"last\n\n")


# Paths

TRAPS = [
    "/orders/..%2fdead-letters",
    "//dead-letters",
    "/%2e%2e/dead-letters",
    "/orders/../dead-letters",
    "/orders/%2e%2e/dead-letters",
    "/orders/%2e%2e%2fdead-letters",
    "/orders/%252e%252e%252fdead-letters",
    "/orders;/../dead-letters",
    "/orders/..;/dead-letters",
    "/dead-letters;x=/orders",
    "/dead-letters%2f",
    "/dead-letters/",
    "/./dead-letters",
    "/dead%2dletters",
    "/Dead-Letters",
    "/dead-letters/../orders/7",
    "/dead-letters/..%2forders%2f7",
    "/metrics/../orders/7",
    "/metrics/..%2f..%2forders",
    "/metrics%00",
    "/metrics%0a",
    "/metrics?/orders/7",
    "/menu/..%5cdead-letters",
    "/menu/..\\dead-letters",
    "/catalogue/../dead-letters",
    "/catalogue/live",
    "/catalogue/%6cive",
    "/catalogue/live%0a",
    "/catalogue//live",
    "/catalogue/./live",
    "/catalogue/x/../live",
    "/catalogue/..%2fmetrics",
    "/customers/7/../../dead-letters",
    "/customers/..%2f..%2fdead-letters%2fx/points",
    "/orders/7/journey",
    "http://localhost/dead-letters",
    "https://localhost/orders/../metrics",
    "*",
]


@pytest.mark.parametrize("target", TRAPS)
async def test_no_spelling_of_a_path_leads_to_a_route_from_within(door: Door, behind: Behind, target: str) -> None:
    """Whatever gets through is, for every service, either nothing or a route for outside."""
    async with door.line() as line:
        await line.send(sent(target, "Connection: close"))
        await line.ended()
    for method, got in behind.asked:
        for name, service in SERVICES.items():
            routes = every_route(name)
            first = next((each for each in routes if method in each.methods and each.pattern.match(unquote(got))), None)
            assert first is None or is_outside(first.permission), (name, got)
            assert first is None or first.template in {each.template for each in outside(service)}, (name, got)


# Smuggling

AMBIGUOUS = {
    "CL.TE": ["Content-Length: 6", "Transfer-Encoding: chunked"],
    "TE.CL": ["Transfer-Encoding: chunked", "Content-Length: 4"],
    "two lengths": ["Content-Length: 5", "Content-Length: 70"],
    "two lengths in one": ["Content-Length: 5, 70"],
    "two codings": ["Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Content-Length: 5"],
    "codings in one": ["Transfer-Encoding: chunked, identity", "Content-Length: 5"],
    "chunked twice": ["Transfer-Encoding: chunked, chunked", "Content-Length: 5"],
    "an unknown coding": ["Transfer-Encoding: xchunked", "Content-Length: 5"],
    "quoted": ['Transfer-Encoding: "chunked"', "Content-Length: 5"],
    "a space before the colon": ["Transfer-Encoding : chunked", "Content-Length: 5"],
    "a tab before the value": ["Transfer-Encoding:\tchunked", "Content-Length: 5"],
    "a vertical tab": ["Transfer-Encoding: \x0bchunked", "Content-Length: 5"],
    "a tab behind the value": ["Transfer-Encoding: chunked\t", "Content-Length: 5"],
    "a NUL": ["Transfer-Encoding: chunked\x00", "Content-Length: 5"],
    "folded": ["Transfer-Encoding:", " chunked", "Content-Length: 5"],
    "folded into another": ["X-Folded: y", " Transfer-Encoding: chunked", "Content-Length: 5"],
    "behind a bare LF": ["X-Bare: y\nTransfer-Encoding: chunked", "Content-Length: 5"],
    "behind a bare CR": ["X-Bare: y\rTransfer-Encoding: chunked", "Content-Length: 5"],
    "with an underscore": ["Transfer_Encoding: chunked", "Content-Length: 5"],
    "a signed length": ["Content-Length: +5"],
    "a hexadecimal length": ["Content-Length: 0x5"],
    "a length with an underscore": ["Content-Length: 1_0"],
    "a negative length": ["Content-Length: -1"],
    "a length beyond 64 bits": ["Content-Length: 18446744073709551621"],
    "a length that a connection may drop": ["Content-Length: 5", "Connection: content-length"],
    "a coding that a connection may drop": ["Transfer-Encoding: chunked", "Connection: transfer-encoding"],
    "a change of protocol": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    "an expectation": ["Content-Length: 5", "Expect: 100-continue"],
}
CHUNKS = {
    "an extension": b"1;x=y\r\nG\r\n0\r\n\r\n",
    "an extension with a bare LF": b"1;\nG\r\n0\r\n\r\n",
    "a size that ends in a bare LF": b"1\nG\r\n0\r\n\r\n",
    "data that ends in a bare LF": b"1\r\nG\n0\r\n\r\n",
    "data longer than its size": b"1\r\nGG\r\n0\r\n\r\n",
    "a size with a prefix": b"0x1\r\nG\r\n0\r\n\r\n",
    "a size with a space": b"1 \r\nG\r\n0\r\n\r\n",
    "a negative size": b"-1\r\nG\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000001\r\nG\r\n0\r\n\r\n",
    "a trailer": b"0\r\nContent-Length: 70\r\nHost: elsewhere\r\n\r\n",
    "an end without its blank line": b"0\r\n",
}


async def nothing_was_smuggled(door: Door, behind: Behind, request: bytes) -> None:
    """Send it, hear out what is answered, and let somebody else ask over the same connections to the service."""
    async with door.line() as line:
        await line.send(request)
        await line.ended()
    async with door.line() as line:
        for _ in range(2):
            await line.send(sent("/orders/victim"))
            assert (await line.reply()).json()["target"] == "/orders/victim"
    assert {target for _, target in behind.asked} <= {"/orders", "/orders/victim"}


@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_whose_end_is_in_doubt_hides_no_other(door: Door, behind: Behind, headers: list[str]) -> None:
    request = sent("/orders", *headers, "Connection: close", method="POST", body=b"0\r\n\r\n" + SMUGGLED)
    await nothing_was_smuggled(door, behind, request)


@pytest.mark.parametrize("name", ["CL.TE", "TE.CL", "two lengths", "an unknown coding", "an expectation"])
async def test_nor_does_one_of_http_1_0(door: Door, behind: Behind, name: str) -> None:
    headers = ("Connection: keep-alive", *AMBIGUOUS[name])
    request = sent("/orders", *headers, method="POST", body=b"0\r\n\r\n" + SMUGGLED, version="1.0")
    await nothing_was_smuggled(door, behind, request)


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
async def test_chunks_that_readers_take_differently_hide_no_request(door: Door, behind: Behind, chunks: bytes) -> None:
    headers = ("Transfer-Encoding: chunked", "Connection: close")
    request = sent("/orders", *headers, method="POST", body=chunks + SMUGGLED)
    await nothing_was_smuggled(door, behind, request)


PSEUDO = ((b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/orders"), (b":authority", b"localhost"))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def http2(headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> bytes:
    """A connection's beginning and one request, its headers literal (RFC 7541 6.2.2), whatever is in them."""
    block = b"".join(b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in headers)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    return preface + frame(1, 4, 1, block) + frame(0, 1, 1, body)


SECOND = {
    "a coding": (*PSEUDO, (b"transfer-encoding", b"chunked")),
    "a length that is not": (*PSEUDO, (b"content-length", b"0")),
    "two lengths": (*PSEUDO, (b"content-length", b"5"), (b"content-length", b"70")),
    "a line break in a value": (*PSEUDO, (b"x-a", b"b\r\nTransfer-Encoding: chunked")),
    "a line break in a name": (*PSEUDO, (b"x-a: b\r\ntransfer-encoding", b"chunked")),
    "a header of connections": (*PSEUDO, (b"connection", b"content-length"), (b"content-length", b"0")),
    "a line break in the path": (PSEUDO[0], PSEUDO[1], (b":path", b"/orders HTTP/1.1\r\nX-A: b"), PSEUDO[3]),
    "a line break in the method": ((b":method", SMUGGLED[:80]), *PSEUDO[1:]),
    "a line break in the name of the host": (*PSEUDO[:3], (b":authority", b"localhost\r\nTransfer-Encoding: chunked")),
    "another host": (*PSEUDO, (b"host", b"elsewhere.example")),
}


@pytest.mark.parametrize("headers", SECOND.values(), ids=SECOND)
async def test_a_request_of_http_2_becomes_no_two_of_http_1(
    door: Door, behind: Behind, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    async with door.line("h2") as line:
        assert line.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        await nothing_was_smuggled_over(line, http2(headers, b"0\r\n\r\n" + SMUGGLED))
    await nothing_was_smuggled(door, behind, sent("/orders", "Connection: close"))


async def nothing_was_smuggled_over(line: Wire, request: bytes) -> None:
    await line.send(request)
    async with asyncio.timeout(10):
        kind = -1
        while kind not in (1, 3, 7):  # its headers, a reset, or goodbye
            head = await line.reader.readexactly(9)
            kind = head[3]
            await line.reader.readexactly(int.from_bytes(head[:3], "big"))


# What a request says of itself


async def test_the_door_alone_says_where_a_request_is_from(client: httpx.AsyncClient) -> None:
    forged = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Host": "elsewhere.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=192.0.2.1;host=elsewhere.example",
    }
    for dropping in ({}, {"Connection": "close, x-forwarded-for, x-forwarded-host, x-forwarded-proto"}):
        got = (await client.get("/orders/7", headers={**forged, **dropping})).json()["headers"]
        assert got["x-forwarded-for"] == HOST
        assert got["x-forwarded-proto"] == "https"
        assert got["x-forwarded-host"] == got["host"] == client.base_url.netloc.decode()
        assert "forwarded" not in got


async def test_two_clients_behind_the_door_are_two(door: Door) -> None:
    for address in ("127.0.0.2", "127.0.0.3"):
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=door.trust())
        async with httpx.AsyncClient(base_url=door.url, transport=transport) as client:
            got = (await client.get("/orders/7", headers={"X-Forwarded-For": "192.0.2.1"})).json()
        assert got["client"] == address


async def test_what_is_for_one_connection_is_not_told_on(client: httpx.AsyncClient) -> None:
    told = {
        "Connection": "close, x-one, authorization",
        "X-One": "1",
        "Authorization": "Bearer x",
        "Keep-Alive": "timeout=5",
        "Proxy-Authorization": "Basic x",
        "Proxy-Connection": "keep-alive",
        "TE": "gzip",
        "Trailer": "X-Last",
        "Upgrade": "h2c",
        "X-Other": "2",
    }
    got = (await client.get("/orders/7", headers=told)).json()["headers"]
    assert got["x-other"] == "2"
    assert not {name.lower() for name in told} - {"x-other", "connection"} & got.keys()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /orders/7 HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
        b"GET https://elsewhere.example/orders/7 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /orders/7 HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere.example\r\n\r\n",
        b"GET /orders/7 HTTP/1.1\r\n\r\n",
        b"GET /orders/7 HTTP/1.1\r\nHost: localhost@elsewhere.example\r\n\r\n",
        b"GET /orders/7 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /orders/7 HTTP/1.1\r\nHost: localhost.\r\n\r\n",
        b"CONNECT orders:8000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_nobody_gets_through_under_another_name(door: Door, behind: Behind, request_: bytes) -> None:
    async with door.line() as line:
        await line.send(request_)
        reply = await line.reply()
    assert reply.status in (400, 404, 421)
    assert behind.asked == []


async def test_a_door_asked_by_another_name_has_no_certificate_to_show(door: Door) -> None:
    with pytest.raises(ssl.SSLError):
        async with door.line(name="elsewhere.example"):
            pass


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_versions_of_tls_are_not_spoken(door: Door, most: ssl.TLSVersion) -> None:
    trust = door.trust()
    trust.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        trust.minimum_version, trust.maximum_version = ssl.TLSVersion.TLSv1, most
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(HOST, door.port, ssl=trust, server_hostname="localhost")


async def test_nothing_is_answered_without_tls(door: Door, behind: Behind) -> None:
    reader, writer = await asyncio.open_connection(HOST, door.port)
    writer.write(sent("/orders/7"))
    assert b" 400 " in (await reader.read()).split(b"\r\n")[0]
    writer.transport.abort()
    assert behind.asked == []


# Slow, and too large


@pytest.mark.parametrize(
    "begun", [b"", b"GET /orders/7 HTTP/1.1\r\n", sent("/orders/7")], ids=["not begun", "a head", "idle"]
)
async def test_a_connection_on_which_no_request_comes_is_closed(door: Door, begun: bytes) -> None:
    async with door.line() as line:
        await line.send(begun)
        await line.ended()


async def test_a_connection_that_does_not_begin_with_tls_is_closed(door: Door) -> None:
    reader, writer = await asyncio.open_connection(HOST, door.port)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.transport.abort()


async def test_a_head_that_trickles_is_not_waited_for(door: Door, behind: Behind) -> None:
    async with door.line() as line:
        trickling = asyncio.create_task(trickle(line, b"GET /orders/7 HTTP/1.1\r\n" + b"X-A: b\r\n" * 10_000))
        await line.ended()
        trickling.cancel()
    assert behind.asked == []


async def trickle(line: Wire, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for at in range(len(data)):
            await line.send(data[at : at + 1])
            await asyncio.sleep(HASTY / 10)


@pytest.mark.parametrize("coding", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_to_its_end_reaches_no_service_as_a_whole_one(
    door: Door, behind: Behind, client: httpx.AsyncClient, coding: str
) -> None:
    """The door gives it up; whether it hangs up at once is different from one release to another."""
    async with door.line() as line:
        await line.send(sent("/orders", coding, method="POST", body=b"5\r\nbegun"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * HASTY):
                await line.reader.read()
        assert (await client.get("/orders/7")).status_code == 200
    assert behind.bodies == [b""]


async def test_a_body_that_trickles_holds_up_nobody_else(door: Door, behind: Behind, client: httpx.AsyncClient) -> None:
    async with door.line() as line:
        await line.send(sent("/orders", "Content-Length: 1000", method="POST"))
        trickling = asyncio.create_task(trickle(line, b"x" * 1000))
        assert (await client.get("/orders/7")).status_code == 200
        trickling.cancel()
    assert behind.bodies == [b""]


@pytest.mark.parametrize(
    "request_",
    [
        sent("/orders", "X-Long: " + "x" * 17_000),
        sent("/orders", *(f"X-{number}: {'x' * 90}" for number in range(200))),
        sent("/orders?status=" + "x" * 17_000),
    ],
    ids=["one header", "many headers", "the target"],
)
async def test_a_head_that_is_too_large_is_refused_at_the_door(door: Door, behind: Behind, request_: bytes) -> None:
    async with door.line() as line:
        await line.send(request_)
        answer = await line.ended()
    assert answer.split(b" ")[1] == b"431"
    assert behind.asked == []


@pytest.mark.parametrize("coding", ["a length", "chunks"])
async def test_a_body_that_is_too_large_is_refused_at_the_door(
    client: httpx.AsyncClient, behind: Behind, coding: str
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * (LARGEST // 2)

    content: Any = b"x" * (LARGEST + 1) if coding == "a length" else pieces()
    refused = await client.post("/orders", content=content)
    assert refused.status_code in (413, 502)  # Debian's older one says 502 of a length
    assert behind.bodies == []
    assert (await client.post("/orders", content=b"x" * LARGEST)).status_code == 200
    assert behind.bodies == [b"x" * LARGEST]
