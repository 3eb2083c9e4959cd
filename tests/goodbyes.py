"""Ends the connections that were closed, when an event loop is, without waiting for the other side's goodbye.

A connection over TLS that is closed stays until the other side has closed it too, and what closes it does not wait:
aiokafka, for one, for the connection that it begins with. When the loop is closed before, asyncio leaves the socket to
the garbage collector, which complains of it in the middle of whatever test comes later. A connection that nobody has
closed is left as it is, and complained of.
"""

import asyncio
from asyncio.sslproto import SSLProtocol

_close = asyncio.SelectorEventLoop.close


def say() -> None:
    """Let every event loop of this process do so from now on, whoever makes it."""
    asyncio.SelectorEventLoop.close = _close_with_goodbyes  # type: ignore[assignment, method-assign]


def _close_with_goodbyes(loop: asyncio.SelectorEventLoop) -> None:
    if not loop.is_closed() and (leaving := [each for each in _transports(loop) if _was_closed(each)]):
        for transport in leaving:
            transport.abort()
        loop.call_soon(loop.stop)
        loop.run_forever()  # once around: an abort closes the socket in the next round
    _close(loop)


def _transports(loop: asyncio.SelectorEventLoop) -> list[asyncio.Transport]:
    return list(loop._transports.values())  # type: ignore[attr-defined]


def _was_closed(transport: asyncio.Transport) -> bool:
    protocol = transport.get_protocol()
    above = protocol._app_transport if isinstance(protocol, SSLProtocol) else None
    return transport.is_closing() or (above is not None and bool(above._closed))
