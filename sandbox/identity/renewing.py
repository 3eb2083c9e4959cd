"""Gives what a login is renewed with, to programs that keep a secret (refresh tokens, RFC 6749 6)."""

import secrets
import time
from dataclasses import dataclass

from sandbox.identity.keys import Clock
from sandbox.identity.register import Client, User

RENEWED_SECONDS = 8 * 3600.0
"""How long a login lasts: a working day."""


@dataclass(frozen=True)
class Login:
    """Is what somebody has logged in for, until `until`."""

    client: Client
    user: User
    scopes: frozenset[str]
    until: float


class Logins:
    """Holds logins by what renews them. It works as often as it is shown: whoever has it shows its own key as well."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._logins: dict[str, Login] = {}

    def give(self, client: Client, user: User, scopes: frozenset[str]) -> str:
        now = self._clock()
        self._logins = {token: login for token, login in self._logins.items() if login.until > now}
        token = secrets.token_urlsafe(32)
        self._logins[token] = Login(client, user, scopes, now + RENEWED_SECONDS)
        return token

    def end(self, token: str, client: Client) -> None:
        """Forget a login of this client; one that is not there is over already (RFC 7009 2.2)."""
        if token in self._logins and self._logins[token].client == client:
            del self._logins[token]

    def find(self, token: str, client: Client) -> Login | None:
        """Return the login that a client may go on with; None where it is over, or another's."""
        login = self._logins.get(token)
        return login if login and login.client == client and login.until > self._clock() else None
