"""Calls webhooks: one POST to the very address that was checked, without following where its answer points.

The name is resolved once, by us, where the connection is opened; what it resolves to is checked, and the socket is
opened to that. The Host header and the name in the TLS certificate stay those of the URL. So a name that resolves to
something else a moment later changes nothing, and no proxy of the environment is asked.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import msgspec

from backbone.errors import SlicelineError
from backbone.values.texts import one_line
from services.webhooks.addresses import Address, Refused, Rules, literal
from services.webhooks.names import Names, Resolve, resolve

CONNECTING = 5.0
"""Seconds for finding out where a name leads, and again for a connection to there."""
MOST_READ = 16_384
"""Bytes of an answer that are read at most: what it says is for people, and for a challenge."""
LONGEST_PAUSE = timedelta(days=1)
_FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpcore.UnsupportedProtocol)


class Unreached(SlicelineError):
    """Nobody answered there in time; the text says what happened instead."""


class Answer(msgspec.Struct, frozen=True):
    """Holds what a receiver said."""

    status: int
    text: str
    retry_after: timedelta | None = None


class Caller:
    """Calls webhooks over connections that it keeps for a moment."""

    def __init__(
        self, rules: Rules, within: float, *, resolve: Resolve = resolve, tls: ssl.SSLContext | None = None
    ) -> None:
        """`within`: seconds for a whole call. `tls`: whom to trust, where that is not the usual."""
        self._rules = rules
        self._within = within
        self._names = Names(resolve)
        self._connections = httpcore.AsyncConnectionPool(
            tls, max_connections=None, keepalive_expiry=5.0, network_backend=_Guarded(rules, self._names)
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a body and return the answer, a redirect as any other. Raises Refused and Unreached."""
        address = self._rules.read(url)
        given = {"Host": address.authority, "Content-Length": str(len(body)), "Accept": "*/*", **headers}
        try:
            async with asyncio.timeout(self._within):
                return await self._post(address, given, body)
        except TimeoutError:
            raise Unreached(f"no answer within {self._within:g} s") from None
        except (*_FAILURES, OSError) as error:
            raise Unreached(f"{type(error).__name__}: {one_line(str(error))}"[:300]) from error

    async def _post(self, address: Address, given: Mapping[str, str], body: bytes) -> Answer:
        url = httpcore.URL(scheme=address.scheme, host=address.host, port=address.port, target=address.target)
        headers = [(name.encode(), value.encode()) for name, value in given.items()]
        async with self._connections.stream("POST", url, headers=headers, content=body) as response:
            text = await _beginning(response)
            return Answer(response.status, text, _pause(response.headers))

    async def aclose(self) -> None:
        """Close all connections."""
        self._names.close()
        await self._connections.aclose()


class _Guarded(httpcore.AsyncNetworkBackend):
    """Opens connections, each to an address that it has checked itself."""

    def __init__(self, rules: Rules, names: Names) -> None:
        self._rules = rules
        self._names = names
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first that answers of a name's addresses. Raises Refused when one of them may not be."""
        patience = CONNECTING if timeout is None else timeout
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for ip in await self._checked(host):
            try:
                return await self._network.connect_tcp(ip, port, patience, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _checked(self, host: str) -> Sequence[str]:
        """Resolve a name once. A name of which any address may not be called is not called at all."""
        try:
            async with asyncio.timeout(CONNECTING):
                found = [host] if literal(host) else await self._names.find(host)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} was not resolved within {CONNECTING:g} s") from None
        for each in found:
            ip = literal(each)
            if ip is None:
                raise Refused(f"must lead to a public address, and {each} is none")
            self._rules.check(ip)
        return found


async def _beginning(response: httpcore.Response) -> str:
    """Read the beginning of an answer as text that can be stored and shown; the rest is left unread."""
    read = bytearray()
    async for chunk in response.aiter_stream():
        read += chunk
        if len(read) >= MOST_READ:
            break
    return bytes(read[:MOST_READ]).decode(errors="replace").replace("\x00", "")


def _pause(headers: Iterable[tuple[bytes, bytes]]) -> timedelta | None:
    """Return the pause asked for (RFC 9110, 10.2.3), in seconds or as a date by the clock of whoever answered."""
    said = {name.lower(): value.decode(errors="replace").strip() for name, value in headers}
    value = said.get(b"retry-after")
    if value is None:
        return None
    try:
        digits = value.isascii() and value.isdigit()
        pause = timedelta(seconds=int(value)) if digits else parsedate_to_datetime(value) - _sent_at(said)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(pause, timedelta()), LONGEST_PAUSE)


def _sent_at(said: Mapping[bytes, str]) -> datetime:
    with suppress(ValueError):
        return parsedate_to_datetime(said.get(b"date", ""))
    return datetime.now(UTC)  # noqa: TID251  the database's clock is no nearer to the receiver's
