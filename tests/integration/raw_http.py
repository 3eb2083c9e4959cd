"""HTTP byte by byte: for what no client library would send, and for when exactly an answer comes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.issuing import SOMEBODY, by

PATIENCE = 15.0


@dataclass(frozen=True)
class Reply:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_last(self) -> bool:
        return self.headers.get("connection") == "close"

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int) -> dict[str, Any]:
        """The problem document, which must be complete."""
        assert self.status == status, self
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = self.json()
        assert (problem["status"], problem["correlationid"]) == (status, self.headers["x-correlation-id"])
        assert problem["type"].startswith("/problems/")
        assert problem["instance"]
        return problem


@dataclass
class Wire:
    """A connection; what is sent need not be HTTP."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, bodiless: bool = False) -> Reply:
        """The next answer; `bodiless` when it is one to a HEAD."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, *lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            size = 0 if bodiless else int(headers.get("content-length", 0))
            return Reply(int(status.split(" ")[1]), headers, await self.reader.readexactly(size))

    async def ended(self) -> bytes:
        """Everything that still comes until the server closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()


@asynccontextmanager
async def wire(address: str) -> AsyncIterator[Wire]:
    """A connection to `http://host:port`."""
    host, port = address.removeprefix("http://").rstrip("/").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


ORDER = json.dumps(
    {
        "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
        "currency": "GBP",
        "fulfilment": "collection",
        "lines": [{"item": "margherita", "quantity": 2}],
    }
).encode()


def placing(*headers: str) -> bytes:
    """The request that places ORDER."""
    return request("/orders", "Content-Type: application/json", *headers, method="POST", body=ORDER)


def request(target: str = "/health/live", *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A sound request of somebody who may do everything, apart from what the caller makes of it."""
    length = [f"Content-Length: {len(body)}"] if body else []
    let_in = [f"{name}: {value}" for name, value in by(SOMEBODY).items()]
    lines = [f"{method} {target} HTTP/1.1", "Host: shop.example", *let_in, *length, *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
