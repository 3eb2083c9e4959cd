"""Reads access tokens: JWTs of one issuer, for our audience (RFC 9068, and RFC 8725 on what to refuse)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backbone.errors import SlicelineError
from backbone.identity.issuer_keys import IssuerKeys
from backbone.values.sealed import holds_sealed
from backbone.values.texts import is_line

if TYPE_CHECKING:
    import httpx
    from joserfc.jwk import KeySet

ALGORITHMS = ("ES256", "RS256", "PS256")
"""Signatures by a key pair only: who knows a shared secret can make tokens, and a public key is no secret."""
KINDS = ("at+jwt", "jwt")
LEEWAY = 30
"""Seconds that the issuer's clock may differ from ours."""
REMEMBERED = 60.0
"""Seconds that a token is not checked again, but for its end: its key may be taken back meanwhile."""
MOST = 4096
"""Tokens remembered at once."""
LONGEST = 8192
LONGEST_NAME = 200


class TokenRefused(SlicelineError):
    """A token is none of the issuer's, or not for us, or over."""


@dataclass(frozen=True)
class Token:
    """Holds what a sound token says: whom it is about, what that one may, and when it ends."""

    subject: str
    scopes: frozenset[str]
    ends_at: float

    @property
    def remaining(self) -> float:
        """For how many seconds it counts."""
        return self.ends_at + LEEWAY - time.time()


class KnownIssuer(Protocol):
    """Says whose tokens are taken: the settings of a service do."""

    @property
    def issuer(self) -> str | None:
        """Who signs them."""

    @property
    def issuer_keys(self) -> str | None:
        """Where the issuer tells its keys, where discovery does not say so."""

    @property
    def audience(self) -> str:
        """Whom they must be for."""


class Tokens:
    """Checks tokens. The issuer is asked for its keys, never for each token."""

    def __init__(self, settings: KnownIssuer, http: "Callable[[], httpx.AsyncClient]") -> None:
        """`http` gives the client with which the issuer is asked. Raises ValueError where no issuer is set."""
        if settings.issuer is None:
            raise ValueError("no issuer is set")
        self.issuer = settings.issuer
        self._audience = settings.audience
        self._keys = IssuerKeys(settings.issuer, settings.issuer_keys, http)
        self._known: dict[str, tuple[Token, float]] = {}

    async def read(self, text: str) -> Token:
        """Return what a token says. Raises TokenRefused, and IssuerAway."""
        token, until = self._known.get(text, (None, 0.0))
        if token is None or time.monotonic() >= until:
            self._known.pop(text, None)
            token = await self._checked(text)
            if len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[text] = token, time.monotonic() + REMEMBERED
        if token.remaining <= 0:
            raise TokenRefused("It has ended: get a new one.")
        return token

    async def aclose(self) -> None:
        """Ask the issuer nothing any more."""
        await self._keys.aclose()

    async def _checked(self, text: str) -> Token:
        if len(text) > LONGEST:
            raise TokenRefused("It is too long.")
        token = self._verified(text, await self._keys.known())
        if token is None and (newer := await self._keys.newer()):
            token = self._verified(text, newer)
        if token is None:
            raise TokenRefused("It is signed with a key that the issuer does not tell.")
        return token

    def _verified(self, text: str, keys: "KeySet") -> Token | None:
        """Return what a token says that one of these keys signed; None where it names another. Raises TokenRefused."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError

        try:
            token = jwt.decode(text, keys, algorithms=list(ALGORITHMS))
            claims = token.claims
            _check_kind(token.header)
            self._rules.validate(claims)
            return _said(claims)
        except InvalidKeyIdError:
            return None
        except (JoseError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise TokenRefused(f"It is not sound: {getattr(error, 'error', type(error).__name__)}.") from None

    @property
    def _rules(self) -> Any:
        from joserfc import jwt

        return jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )


def _check_kind(header: dict[str, Any]) -> None:
    """Refuse what the issuer signs for other ends, as logout tokens; some issuers call all by the one name "JWT"."""
    kind = str(header.get("typ", "JWT")).lower().removeprefix("application/")
    if kind not in KINDS:
        raise TokenRefused("It is no access token (RFC 9068 4).")


def _said(claims: dict[str, Any]) -> Token:
    subject, scope = claims["sub"], claims.get("scope", "")
    if not isinstance(subject, str) or not (is_line(subject) and 0 < len(subject) <= LONGEST_NAME):
        raise TokenRefused("Its `sub` is no name that could be written down.")
    subject.encode()  # half a pair of surrogates is no text that anybody could store
    if holds_sealed(subject):
        raise TokenRefused("Its `sub` holds a sealed text.")
    if not isinstance(scope, str):
        raise TokenRefused("Its `scope` is no text (RFC 8693 4.2).")
    return Token(subject, frozenset(scope.split(" ")) - {""}, float(claims["exp"]))
