"""Reads authorization requests, and gives codes for them: the first half of the code flow, with PKCE."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from sandbox.identity.errors import NobodyToTell, OAuthError
from sandbox.identity.forms import read_pairs
from sandbox.identity.keys import Clock
from sandbox.identity.register import Client, Register, User

CODE_SECONDS = 60.0
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
KEPT = ("response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce")
KEPT_OF_PKCE = ("code_challenge", "code_challenge_method")


@dataclass(frozen=True)
class WayBack:
    """Is where the browser goes on with the outcome: back to the client that sent it."""

    redirect: str
    state: str | None

    def url(self, issuer: str, **outcome: str) -> str:
        """Add the outcome, the client's state and who says so (RFC 9207) to the redirect URI."""
        state = {} if self.state is None else {"state": self.state}
        mark = "&" if "?" in self.redirect else "?"
        return self.redirect + mark + urlencode(outcome | state | {"iss": issuer})


class SentBack(Exception):
    """Refuses an authorization request, and tells the client by way of the browser."""

    def __init__(self, way_back: WayBack, error: OAuthError) -> None:
        super().__init__(str(error))
        self.way_back, self.error = way_back, error


@dataclass(frozen=True)
class AuthorizationRequest:
    """Is what a client asks for on behalf of whoever logs in; `scopes` is None where it asks for all there is."""

    client: Client
    way_back: WayBack
    challenge: str
    scopes: frozenset[str] | None
    nonce: str | None
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Grant:
    """Is what a code stands for, until `until`."""

    request: AuthorizationRequest
    user: User
    scopes: frozenset[str]
    authenticated_at: int
    until: float


class Codes:
    """Holds the codes that were given and not yet shown; each works once."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._grants: dict[str, Grant] = {}

    def give(self, request: AuthorizationRequest, user: User, scopes: frozenset[str]) -> str:
        now = self._clock()
        self._grants = {code: grant for code, grant in self._grants.items() if grant.until > now}
        code = secrets.token_urlsafe(32)
        self._grants[code] = Grant(request, user, scopes, int(now), now + CODE_SECONDS)
        return code

    def take(self, code: str) -> Grant | None:
        """Return what a code stands for and forget it, so that nobody can use it again."""
        grant = self._grants.pop(code, None)
        return grant if grant and grant.until > self._clock() else None


def read_request(parameters: str, register: Register) -> AuthorizationRequest:
    """Read a request; raise NobodyToTell where its redirect URI is not the client's, else SentBack."""
    try:
        values, repeated = read_pairs(parameters)
    except OAuthError as error:
        raise NobodyToTell(f"The request cannot be read: {error}.") from error
    client = _client(values, repeated, register)
    way_back = WayBack(values["redirect_uri"], values.get("state"))
    try:
        if repeated:
            raise OAuthError("invalid_request", "a parameter came more than once")
        _check(values)
    except OAuthError as error:
        raise SentBack(way_back, error) from error
    scopes = frozenset(values["scope"].split()) if "scope" in values else None
    kept = {name: value for name, value in values.items() if name in KEPT + KEPT_OF_PKCE}
    return AuthorizationRequest(client, way_back, values["code_challenge"], scopes, values.get("nonce"), kept)


def _client(values: Mapping[str, str], repeated: set[str], register: Register) -> Client:
    if repeated & {"client_id", "redirect_uri"}:
        raise NobodyToTell("The request names its client or its redirect URI more than once.")
    client = register.programs.get(values.get("client_id", ""))
    if client is None:
        raise NobodyToTell("The program that sent you here (client_id) is not known.")
    if not client.may_redirect_to(values.get("redirect_uri", "")):
        raise NobodyToTell(f"{client.id} may not send you back to the address (redirect_uri) that it gave.")
    return client


def _check(values: Mapping[str, str]) -> None:
    for name in ("request", "request_uri", "registration"):
        if name in values:
            raise OAuthError(f"{name}_not_supported", f"{name} is not supported")
    if values.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type is code")
    if values.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "response_mode is query")
    if values.get("code_challenge_method", "plain") != "S256":
        raise OAuthError("invalid_request", "code_challenge_method is S256; plain, which is its default, is refused")
    if not CHALLENGE.match(values.get("code_challenge", "")):
        raise OAuthError("invalid_request", "code_challenge is required: base64url of a SHA-256 digest, 43 characters")


def granted(asked: frozenset[str] | None, given: frozenset[str]) -> frozenset[str]:
    """Return which scopes a token has: all that are given, or as many of those asked for; openid is anybody's."""
    if asked is None:
        return given
    if not (scopes := asked & (given | {"openid"})):
        raise OAuthError("invalid_scope", "none of these scopes is given here")
    return scopes
