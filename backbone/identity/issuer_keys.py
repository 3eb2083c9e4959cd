"""Knows the keys with which the issuer signs (RFC 7517), found by its discovery document or told by a setting."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from backbone.running.faults import OfOneAlone

if TYPE_CHECKING:
    import httpx
    from joserfc.jwk import KeySet

DISCOVERY = "/.well-known/openid-configuration"
KEPT = 300.0
"""Seconds after which keys are fetched again: for so long one that the issuer took back still counts."""
BETWEEN = 1.0
"""Seconds between two fetches, at least: whoever makes up key ids has the issuer asked no oftener."""
CALL_SECONDS = 3.0
LONGEST_ANSWER = 1024 * 1024
"""Bytes of an answer of the issuer's: whoever answers more in its place fills no memory of ours."""
NEWER_SECONDS = 0.5
"""Seconds that a token with a key we do not know waits for newer ones, while the issuer may take longer: anybody can
make up such a token, and whoever waits has a place among those who are let in (`admission.py`)."""


class IssuerAway(OfOneAlone, ConnectionError):
    """The issuer does not tell its keys, so that nobody can say whether a token is sound."""


class IssuerKeys:
    """Holds the issuer's keys. Those that were told go on when it is away."""

    def __init__(self, issuer: str, url: str | None, http: "Callable[[], httpx.AsyncClient]") -> None:
        """`url` is where the keys are, None where discovery tells; `http` gives the client that asks."""
        self._issuer = issuer
        self._url = url
        self._http = http
        self._keys: KeySet | None = None
        self._told_at = self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def known(self) -> "KeySet":
        """Return the keys as they are known, fetched when there are none; old ones are renewed meanwhile.

        Raises IssuerAway.
        """
        if self._keys is None:
            await self._fetch()
        elif self._is_old:
            self._begin()
        if self._keys is None:
            raise IssuerAway(f"{self._issuer} did not tell its keys a moment ago.")
        return self._keys

    async def newer(self) -> "KeySet | None":
        """Return the keys fetched anew, for a token that names one which is not among them; None so soon after.

        Raises IssuerAway where they are not there in a moment; the issuer is asked nevertheless.
        """
        if time.monotonic() - self._asked_at < BETWEEN and self._asking is None:
            return None
        try:
            async with asyncio.timeout(NEWER_SECONDS):
                await self._fetch()
        except TimeoutError:
            raise IssuerAway(f"{self._issuer} takes long to tell its newest keys.") from None
        return self._keys

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    @property
    def _is_old(self) -> bool:
        now = time.monotonic()
        return now - self._told_at > KEPT and now - self._asked_at > BETWEEN

    async def _fetch(self) -> None:
        if self._asking is not None or time.monotonic() - self._asked_at >= BETWEEN:
            await asyncio.shield(self._begin())

    def _begin(self) -> "asyncio.Task[None]":
        """Begin to fetch, once for all who wait."""
        if self._asking is None:
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._renew(), name="issuer's keys")
        return self._asking

    async def _renew(self) -> None:
        try:
            self._keys = await self._told()
            self._told_at = time.monotonic()
        except IssuerAway:
            if self._keys is None:
                raise
        finally:
            self._asking = None

    async def _told(self) -> "KeySet":
        import httpx
        from joserfc.errors import JoseError

        try:
            async with asyncio.timeout(CALL_SECONDS):
                url = self._url or (await self._get(f"{self._issuer.rstrip('/')}{DISCOVERY}"))["jwks_uri"]
                told = await self._get(url)
            return _readable([each for each in told["keys"] if _signs(each)])
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, msgspec.MsgspecError) as error:
            raise IssuerAway(f"{self._issuer} does not tell its keys ({type(error).__name__}).") from None
        except (KeyError, TypeError, AttributeError, ValueError, JoseError) as error:
            raise IssuerAway(f"{self._issuer} tells keys that are none ({type(error).__name__}).") from None

    async def _get(self, url: str) -> Any:
        return msgspec.json.decode(await answer_of(self._http(), "GET", url))


async def answer_of(http: "httpx.AsyncClient", method: str, url: str, **sent: Any) -> bytes:
    """Return what the issuer answers. Raises httpx.HTTPError, also where it is too long, or no success."""
    import httpx

    plain = {"Accept-Encoding": "identity"}  # a packed answer could be short, and grow
    found = bytearray()
    async with http.stream(method, url, headers=plain, timeout=CALL_SECONDS, **sent) as answer:
        async for part in answer.raise_for_status().aiter_raw():
            found += part
            if len(found) > LONGEST_ANSWER:
                raise httpx.ReadError(f"more than {LONGEST_ANSWER} bytes")
    return bytes(found)


def _signs(key: Any) -> bool:
    """Tell whether a key is one of a pair, for signatures: no shared secret, nor one that encrypts."""
    return key.get("kty") in ("EC", "RSA", "OKP") and key.get("use", "sig") == "sig"


def _readable(told: list[dict[str, Any]]) -> "KeySet":
    """Read the keys; one that we cannot read may be for others, and is left out (RFC 7517 5). Raises where all are."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, KeySet

    keys = []
    for each in told:
        try:
            keys.append(JWKRegistry.import_key(each))
        except (KeyError, TypeError, ValueError, JoseError):
            if each is told[-1] and not keys:
                raise
    return KeySet(keys)
