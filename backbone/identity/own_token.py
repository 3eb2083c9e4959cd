"""Gets the token with which a service asks another: for its own key, and no secret that both sides know (RFC 7523)."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backbone.identity.issuer_keys import CALL_SECONDS, DISCOVERY, answer_of
from backbone.ids import new_id
from backbone.observing.logs import logger
from backbone.running.faults import OfOneAlone
from backbone.settings import Settings

if TYPE_CHECKING:
    import httpx

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
RENEWED_AT = 0.8
"""The part of its life after which a token is renewed: whoever asks never waits for it, and none is sent too late."""

BETWEEN = 5.0
"""Seconds after which a token that somebody refuses is exchanged: who refuses all has the issuer asked no oftener."""
UNAUTHORIZED = 401


class NoToken(OfOneAlone, ConnectionError):
    """The issuer gives us no token now; it passes when it is back, or knows our key."""


class _Given(msgspec.Struct):
    """Is what the issuer answers (RFC 6749 5.1)."""

    access_token: str
    expires_in: float = 60.0


class _Discovered(msgspec.Struct):
    token_endpoint: str


class OwnToken:
    """Holds the token of this process. Without an issuer there is none, and nobody asks for it."""

    def __init__(self, name: str, settings: Settings, http: "Callable[[], httpx.AsyncClient]") -> None:
        """`name` is the client's id at the issuer; `http` gives the client with which that is asked."""
        self._name = name
        self._issuer = settings.issuer
        self._endpoint = settings.issuer_tokens
        self._key_file = settings.identity_key_file
        self._http = http
        self._token = ""
        self._given_at = self._renew_at = self._ends_at = 0.0
        self._asking = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that say who asks; none where nobody is let in by tokens. Raises NoToken."""
        if self._issuer is None or self._key_file is None:
            return {}
        if time.monotonic() >= self._renew_at:
            await self._renewed(self._issuer, self._key_file)
        return {"Authorization": f"Bearer {self._token}"}

    def heed(self, status: int) -> None:
        """Have the next call get a new token where this answer says that ours counts no more: its key may be gone."""
        if status == UNAUTHORIZED and time.monotonic() >= self._given_at + BETWEEN:
            self._renew_at = 0.0

    async def _renewed(self, issuer: str, key_file: Path) -> None:
        async with self._asking:
            if time.monotonic() < self._renew_at:
                return
            try:
                await self._renew(issuer, key_file)
            except NoToken as error:
                if time.monotonic() >= self._ends_at:
                    raise
                self._renew_at = time.monotonic() + 1  # the one that there is still counts
                logger.warning("no new token yet", action="token-not-renewed", reason=str(error))

    async def _renew(self, issuer: str, key_file: Path) -> None:
        import httpx

        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                endpoint = self._endpoint or (await self._discovered(issuer))
                form = {
                    "grant_type": "client_credentials",
                    "client_id": self._name,
                    "client_assertion_type": ASSERTION,
                    "client_assertion": assertion(self._name, issuer, key_file),
                }
                answer = await answer_of(self._http(), "POST", endpoint, data=form)
            given = msgspec.json.decode(answer, type=_Given)
        except httpx.HTTPStatusError as error:
            raise NoToken(f"{issuer} gives {self._name} no token: {error.response.status_code}.") from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, msgspec.MsgspecError) as error:
            raise NoToken(f"{issuer} gives {self._name} no token ({type(error).__name__}).") from None
        self._token = given.access_token
        self._given_at = asked_at
        self._ends_at = asked_at + given.expires_in
        self._renew_at = asked_at + given.expires_in * RENEWED_AT

    async def _discovered(self, issuer: str) -> str:
        answer = await answer_of(self._http(), "GET", f"{issuer.rstrip('/')}{DISCOVERY}")
        return msgspec.json.decode(answer, type=_Discovered).token_endpoint


def assertion(name: str, issuer: str, key_file: Path) -> str:
    """Sign who we are, with the key as the file holds it now: so it is exchanged without a restart. Raises NoToken."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    try:
        key = ECKey.import_key(key_file.read_text())
        now = int(time.time())
        claims = {"iss": name, "sub": name, "aud": issuer, "iat": now, "exp": now + ASSERTION_SECONDS, "jti": new_id()}
        return jwt.encode({"alg": "ES256", "kid": key.thumbprint()}, claims, key)
    except (OSError, ValueError, JoseError) as error:
        raise NoToken(f"{key_file} holds no key that could sign ({type(error).__name__}).") from None
