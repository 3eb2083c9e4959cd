"""Gets a program's token from the identity provider, by a key of its own (RFC 7523), and sends it along."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class OwnToken(httpx.Auth):
    """Gives each request a token that is renewed before it ends. Raises httpx.HTTPError where none is given."""

    def __init__(self, name: str, issuer: str, key_file: str, endpoint: str = "") -> None:
        """`endpoint` is where tokens are given, where that is not what the issuer's discovery document says."""
        self._name = name
        self._issuer = issuer.rstrip("/")
        self._key_file = Path(key_file)
        self._endpoint = endpoint
        self._token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        async with self._renewing:
            if time.monotonic() >= self._renew_at:
                await self._renew()
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request

    async def _renew(self) -> None:
        asked_at = time.monotonic()
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            endpoint = self._endpoint or await self._discovered(client)
            form = {
                "grant_type": "client_credentials",
                "client_id": self._name,
                "client_assertion_type": ASSERTION,
                "client_assertion": self._assertion(),
            }
            given = (await client.post(endpoint, data=form)).raise_for_status().json()
        self._token = given["access_token"]
        self._renew_at = asked_at + given["expires_in"] * 0.8

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        known = await client.get(f"{self._issuer}/.well-known/openid-configuration")
        return str(known.raise_for_status().json()["token_endpoint"])

    def _assertion(self) -> str:
        key = ECKey.import_key(self._key_file.read_text())
        now, issuer = int(time.time()), self._issuer
        claims = {"iss": self._name, "sub": self._name, "aud": issuer, "iat": now, "exp": now + 60}
        return jwt.encode({"alg": "ES256", "kid": key.thumbprint()}, claims | {"jti": uuid.uuid4().hex}, key)
