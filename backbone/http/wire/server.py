"""Is the HTTP server of a process: uvicorn, with our connections, without its signals, and asleep when nobody asks."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn

from backbone.http.browsers import TOLD
from backbone.http.wire.connection import Connection, State

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than clients and proxies keep theirs (5 and 60), who would
otherwise send on one that is just being closed."""


class Server(uvicorn.Server):
    """Serves an application. Signals are the process's: they stop all of its parts, not only the server."""

    def __init__(self, application: Any, host: str = "127.0.0.1", port: int = 0, stop_within: int = 5) -> None:
        """`stop_within` are the seconds that requests under way have once the server stops."""
        config = uvicorn.Config(
            application,
            host=host,
            port=port,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            backlog=2048,
            timeout_graceful_shutdown=stop_within,
            timeout_keep_alive=KEEP_ALIVE,
            headers=list(TOLD),
        )
        self._exit = asyncio.Event()
        super().__init__(config)
        self.server_state: State = State(config)

    @property
    def should_exit(self) -> bool:
        """Tell whether the server is to stop."""
        return self._exit.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._exit.set()

    async def main_loop(self) -> None:
        """Wait until the server is to stop; uvicorn's own looks ten times a second, and to keep a date for answers."""
        await self._exit.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody any more, and answer all who are connected once more before their connections end."""
        self.server_state.draining = True
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone."""
        yield
