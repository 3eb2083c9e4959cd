"""Ends a connection behind its last answer without taking the answer away from its client."""

import asyncio
from collections.abc import Callable

LINGER = 1.0
"""Seconds without a byte after which a client that was told the last answer is left. A close while it still sends
resets the connection, and takes the answer away from it again."""

LONGEST = 30.0
"""Seconds for which a client that goes on sending is heard out at most."""


class LastWords:
    """Is the transport of a connection's last answer; `linger` is called instead of a close."""

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        self._transport = transport
        self._linger = linger

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._linger()


class HearingOut:
    """Closes a connection, already closed for writing, when its client has closed as well or sends nothing more."""

    def __init__(self, transport: asyncio.Transport, longest: float) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + longest
        self._heard = False
        self._look_again()

    def hear(self) -> None:
        """Note that the client still sends."""
        self._heard = True

    def hurry(self) -> None:
        """Make the next look the last one."""
        self._until = self._loop.time()

    def _look_again(self) -> None:
        self._loop.call_later(LINGER, self._look)

    def _look(self) -> None:
        if self._heard and self._loop.time() < self._until and not self._transport.is_closing():
            self._heard = False
            self._look_again()
        else:
            self._transport.close()
