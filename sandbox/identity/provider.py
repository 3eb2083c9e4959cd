"""Answers the endpoints of OpenID Connect: what each does with a request once it is read."""

import asyncio
import hmac
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi.responses import RedirectResponse, Response

from sandbox.identity.authorizing import AuthorizationRequest, Codes, Grant, SentBack, granted, read_request
from sandbox.identity.clients import ALGORITHMS, Clients
from sandbox.identity.errors import OAuthError, Unauthenticated
from sandbox.identity.forms import read_pairs
from sandbox.identity.keys import ALGORITHM, Clock, SigningKeys
from sandbox.identity.pages import login_page
from sandbox.identity.people import Attempts, Passwords
from sandbox.identity.register import Client, ClientKeys, read_register
from sandbox.identity.renewing import Logins
from sandbox.identity.tokens import Tokens, written

log = logging.getLogger("identity")
GRANTS = ("authorization_code", "client_credentials", "refresh_token")
FAILURE_PAUSE = 0.25
WRONG = "That name and that password do not belong together."


@dataclass(frozen=True)
class Settings:
    """Says what the provider calls itself, where its folder and register are, and how long its tokens last."""

    issuer: str
    folder: Path
    register: Path
    seconds: int


class IdentityProvider:
    """Holds what lies behind the HTTP API. Raises Unusable, or OSError of the folder, where it cannot begin."""

    def __init__(self, settings: Settings, clock: Clock = time.time) -> None:
        self.issuer = settings.issuer
        self.register = read_register(settings.register)
        self.keys = SigningKeys(settings.folder, settings.seconds, clock)
        self.passwords = Passwords(settings.folder)
        self.passwords.draw(self.register.people)
        self.attempts = Attempts(clock)
        self.codes = Codes(clock)
        self.logins = Logins(clock)
        keys = ClientKeys(settings.register.parent)
        self.clients = Clients(self.register, keys, [self.issuer, f"{self.issuer}/token"], clock)
        self.tokens = Tokens(self.issuer, self.register, self.keys, settings.seconds, clock)

    def discovery(self) -> dict[str, Any]:
        """Describe the provider as OpenID Connect Discovery and RFC 8414 have it."""
        scopes = self.register.scopes(self.register.roles)
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "scopes_supported": ["openid", *sorted(scopes)],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": list(GRANTS),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name"],
            "authorization_response_iss_parameter_supported": True,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }

    def ask_to_log_in(self, parameters: str) -> Response:
        return login_page(read_request(parameters, self.register))

    async def log_in(self, form: str) -> Response:
        """Check name and password, and send the browser back with a code; without a name, ask for one."""
        request = read_request(form, self.register)
        values, _ = read_pairs(form)
        username = values.get("username", "")
        if not username:
            return login_page(request)
        if wait := self.attempts.wait(username):
            return login_page(request, username, f"Too many attempts; try again in {wait} s.", 429, wait)
        user = self.register.people.get(username)
        if not self.passwords.matches(user.sub if user else None, values.get("password", "")) or user is None:
            self.attempts.failed(username)
            await asyncio.sleep(FAILURE_PAUSE)
            return login_page(request, username, WRONG, 403)
        self.attempts.succeeded(username)
        return self._sent_back(request, username)

    def _sent_back(self, request: AuthorizationRequest, sub: str) -> Response:
        user = self.register.people[sub]
        try:
            scopes = granted(request.scopes, self.register.scopes(user.roles))
        except OAuthError as error:
            raise SentBack(request.way_back, error) from error
        log.info("%s logged in for %s", sub, request.client.id)
        code = self.codes.give(request, user, scopes)
        return self.redirect(request.way_back.url(self.issuer, code=code))

    def refuse(self, error: SentBack) -> Response:
        """Send the browser back to the client with what was wrong."""
        told = {"error": error.error.code, "error_description": error.error.description}
        return self.redirect(error.way_back.url(self.issuer, **told))

    @staticmethod
    def redirect(url: str) -> Response:
        return RedirectResponse(url, 303, {"Cache-Control": "no-store"})

    def token(self, form: str) -> dict[str, Any]:
        """Give tokens for a code, or to a client that showed who it is; raise OAuthError for anything else."""
        values, repeated = read_pairs(form)
        if repeated:
            raise OAuthError("invalid_request", "a parameter came more than once")
        if "grant_type" not in values:
            raise OAuthError("invalid_request", "grant_type is required")
        if values["grant_type"] not in GRANTS:
            raise OAuthError("unsupported_grant_type", f"grant_type is {', '.join(GRANTS[:-1])} or {GRANTS[-1]}")
        client, shown = self.clients.calling(values)
        if values["grant_type"] == "authorization_code":
            return self._for_code(client, values)
        if not shown:
            raise Unauthenticated(f"{values['grant_type']} takes a client_assertion (private_key_jwt)")
        if values["grant_type"] == "refresh_token":
            return self._renewed(client, values)
        return self._for_client(client, values)

    def revoke(self, form: str) -> None:
        """End a login for the client that had it (RFC 7009); raise OAuthError where it does not show who it is."""
        values, repeated = read_pairs(form)
        if repeated or "token" not in values:
            raise OAuthError("invalid_request", "token is required, once")
        client, shown = self.clients.calling(values)
        if not shown:
            raise Unauthenticated("revoking takes a client_assertion (private_key_jwt)")
        self.logins.end(values["token"], client)

    def _for_code(self, client: Client, values: Mapping[str, str]) -> dict[str, Any]:
        if missing := {"code", "code_verifier", "redirect_uri"} - values.keys():
            raise OAuthError("invalid_request", f"{min(missing)} is required")
        grant = self.codes.take(values["code"])
        if grant is None or not _fits(grant, client, values):
            raise OAuthError("invalid_grant", "the code was used, is too old, or came with another client or verifier")
        answer = self._answer(grant.user.sub, client, grant.user.roles, grant.scopes)
        if client.keys is not None:
            answer["refresh_token"] = self.logins.give(client, grant.user, grant.scopes)
        return answer | ({"id_token": self.tokens.identity(grant)} if "openid" in grant.scopes else {})

    def _renewed(self, client: Client, values: Mapping[str, str]) -> dict[str, Any]:
        if "refresh_token" not in values:
            raise OAuthError("invalid_request", "refresh_token is required")
        login = self.logins.find(values["refresh_token"], client)
        if login is None:
            raise OAuthError("invalid_grant", "the refresh token is unknown, too old, or another client's")
        return self._answer(login.user.sub, client, login.user.roles, login.scopes)

    def _for_client(self, client: Client, values: Mapping[str, str]) -> dict[str, Any]:
        asked = frozenset(values["scope"].split()) - {"openid"} if "scope" in values else None
        scopes = granted(asked, self.register.scopes(client.roles))
        return self._answer(client.id, client, client.roles, scopes)

    def _answer(self, sub: str, client: Client, roles: tuple[str, ...], scopes: frozenset[str]) -> dict[str, Any]:
        access = self.tokens.access(sub, client.id, roles, scopes)
        lasts = {"token_type": "Bearer", "expires_in": self.tokens.seconds, "scope": written(scopes)}
        return {"access_token": access} | lasts

    def userinfo(self, authorization: str) -> dict[str, Any] | None:
        """Tell who an access token is of; None where it is none that may ask (it was given without openid)."""
        scheme, _, token = authorization.partition(" ")
        claims = self.tokens.read_access(token.strip()) if scheme.lower() == "bearer" else None
        if claims is None or "openid" not in claims["scope"].split():
            return None
        user = self.register.people.get(claims["sub"])
        return {"sub": user.sub, "name": user.name} if user else None

    def rotate(self) -> dict[str, str]:
        kid = self.keys.rotate()
        log.info("tokens are signed with a new key, %s", kid)
        return {"kid": kid}


def _fits(grant: Grant, client: Client, values: Mapping[str, str]) -> bool:
    """Tell whether a code is shown by whom it was given to: by client, redirect URI and PKCE verifier (RFC 7636)."""
    digest = sha256(values["code_verifier"].encode()).digest()
    challenge = urlsafe_b64encode(digest).rstrip(b"=")
    return (
        grant.request.client == client
        and grant.request.way_back.redirect == values["redirect_uri"]
        and hmac.compare_digest(challenge, grant.request.challenge.encode())
    )
