"""Ways to servers that can be closed, opened again, and made to carry nothing back: small TCP proxies."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from local.ports import HOST, free_port


class Road:
    """A way to a server that can be closed and opened again, on one and the same port."""

    def __init__(self, target: str) -> None:
        host, to = target.rsplit(":", 1)
        self._target = host, int(to)
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._travellers: set[asyncio.StreamWriter] = set()
        self._back = asyncio.Event()
        self._back.set()
        self.doubles = False
        """Whatever comes back comes twice."""

    @property
    def address(self) -> str:
        return f"{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, HOST, self._port)

    async def close(self) -> None:
        """Nobody gets through any more, and whoever is under way is cut off."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._travellers):
            writer.transport.abort()

    def deafen(self) -> None:
        """Questions get there, and no answer comes back: it waits on the way, as after packets that were lost."""
        self._back.clear()

    def undeafen(self) -> None:
        """What waited goes on."""
        self._back.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._travellers |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(there, writer, self._returned), return_exceptions=True)
        self._travellers -= {writer, back}

    async def _returned(self, data: bytes) -> bytes:
        await self._back.wait()
        return data * 2 if self.doubles else data


async def _as_it_is(data: bytes) -> bytes:
    return data


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    carried: Callable[[bytes], Awaitable[bytes]] = _as_it_is,
) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(await carried(data))
            await writer.drain()
    finally:
        writer.transport.abort()
