"""Whoever gets webhooks: real HTTP servers that count connections and answer as they are told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import h11

Said = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    target: str
    headers: Mapping[str, str]
    body: bytes


Answers = Callable[[Request], Awaitable[Said]]


@dataclass
class Listener:
    """A server on a real socket."""

    host: str
    port: int = 0
    drips: bool = False
    answer: Said = (200, {}, b"ok")
    answers: Answers | None = None
    """Decides each answer; without it all are `answer`."""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook"

    async def drop(self) -> None:
        """Close all connections, and return when they are closed; new ones are taken."""
        for writer in list(self._writers):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(OSError, h11.ProtocolError):
            connection = h11.Connection(h11.SERVER)
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        self._writers.discard(writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request = await _read(connection, reader)
        if request is None:
            return False
        self.requests.append(request)
        if self.drips:
            await _drip(writer)
        status, headers, body = await self.answers(request) if self.answers else self.answer
        given = {"Content-Length": str(len(body)), **headers}
        pairs = [(name.encode(), value.encode()) for name, value in given.items()]
        response = h11.Response(status_code=status, headers=pairs)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-Drip: drop\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None where there is none any more."""
    head, body = None, bytearray()
    while True:
        event: Any = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head:
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return Request(head.target.decode(), headers, bytes(body))
        else:
            return None


@asynccontextmanager
async def listening(
    host: str, port: int = 0, *, tls: ssl.SSLContext | None = None, drips: bool = False
) -> AsyncIterator[Listener]:
    """A server on this address, on any port that is free unless one is named."""
    listener = Listener(host, drips=drips)
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: listener.server_names.append(name)
    server = await asyncio.start_server(listener.serve, host, port, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        await listener.drop()
