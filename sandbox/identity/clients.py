"""Knows clients by assertions that they sign (private_key_jwt of OpenID Connect, RFC 7523)."""

import json
import time
from collections.abc import Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from sandbox.identity.errors import Unauthenticated
from sandbox.identity.keys import Clock
from sandbox.identity.register import Client, ClientKeys, Register

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("ES256", "Ed25519", "EdDSA", "RS256")
"""EdDSA is the older name of what RFC 9864 calls Ed25519."""
LONGEST_SECONDS = 300
LEEWAY_SECONDS = 5
UNREADABLE = (JoseError, ValueError, TypeError, RecursionError)


class Clients:
    """Finds out which client calls. An assertion works once: its `jti` is remembered for as long as it is valid."""

    def __init__(self, register: Register, keys: ClientKeys, audiences: list[str], clock: Clock = time.time) -> None:
        self._register, self._keys, self._clock = register, keys, clock
        self._audiences = audiences
        self._used: dict[tuple[str, str], float] = {}

    def calling(self, form: Mapping[str, str]) -> tuple[Client, bool]:
        """Return the client, and whether it showed who it is; raise Unauthenticated where it is none or should have."""
        if "client_assertion" in form or "client_assertion_type" in form:
            return self._asserted(form), True
        client = self._register.programs.get(form.get("client_id", ""))
        if client is None:
            raise Unauthenticated("unknown client")
        if client.keys is not None:
            raise Unauthenticated("this client shows who it is with a client_assertion (private_key_jwt)")
        return client, False

    def _asserted(self, form: Mapping[str, str]) -> Client:
        if form.get("client_assertion_type") != ASSERTION:
            raise Unauthenticated(f"client_assertion_type is {ASSERTION}")
        assertion = form.get("client_assertion", "")
        client = self._register.programs.get(_subject(assertion))
        if client is None or form.get("client_id", client.id) != client.id:
            raise Unauthenticated("the client_assertion is not of a client that is known, or not of client_id")
        try:
            claims = jwt.decode(assertion, self._keys.of(client), list(ALGORITHMS)).claims
            self._check(client, claims)
        except UNREADABLE as error:
            raise Unauthenticated(f"the client_assertion is refused: {_plain(error)}") from error
        return client

    def _check(self, client: Client, claims: dict[str, Any]) -> None:
        now = self._clock()
        jwt.JWTClaimsRegistry(
            int(now),
            LEEWAY_SECONDS,
            iss={"essential": True, "value": client.id},
            sub={"essential": True, "value": client.id},
            aud={"essential": True, "values": [*self._audiences]},
            exp={"essential": True},
            jti={"essential": True},
        ).validate(claims)
        if claims["exp"] > now + LONGEST_SECONDS + LEEWAY_SECONDS:
            raise Unauthenticated(f"the client_assertion is valid for more than {LONGEST_SECONDS} s from now")
        self._used = {used: until for used, until in self._used.items() if until > now}
        if (client.id, claims["jti"]) in self._used:
            raise Unauthenticated("a client_assertion works once; this jti was used before")
        self._used[client.id, claims["jti"]] = claims["exp"] + LEEWAY_SECONDS


def _subject(assertion: str) -> str:
    """Return whom an assertion is said to be of, which decides nothing but whose keys it is verified with."""
    try:
        claims = json.loads(jws.extract_compact(assertion.encode()).payload)
        return str(claims["sub"])
    except (*UNREADABLE, KeyError) as error:
        raise Unauthenticated("the client_assertion is not a JWT with a sub") from error


def _plain(error: Exception) -> str:
    """Say which check failed, in the library's words where these are plain ASCII without quotes (RFC 6749, 5.2)."""
    text = str(error) if isinstance(error, JoseError) else "it cannot be read"
    return "".join(character for character in text if " " <= character <= "~" and character not in '"\\')
