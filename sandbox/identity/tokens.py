"""Makes access tokens (RFC 9068) and ID tokens, and reads its own."""

import uuid
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from sandbox.identity.authorizing import Grant
from sandbox.identity.keys import ALGORITHM, Clock, SigningKeys
from sandbox.identity.register import Register

ACCESS = "at+jwt"


@dataclass(frozen=True)
class Tokens:
    issuer: str
    register: Register
    keys: SigningKeys
    seconds: int
    clock: Clock

    def access(self, sub: str, client_id: str, roles: tuple[str, ...], scopes: frozenset[str]) -> str:
        about = {"sub": sub, "aud": self.register.audience, "jti": str(uuid.uuid4()), "client_id": client_id}
        may = {"scope": written(scopes), "roles": list(roles)}
        return self.keys.sign(ACCESS, self._dated() | about | may)

    def identity(self, grant: Grant) -> str:
        """Tell the client who logged in, when, and that it is in answer to its own request (nonce)."""
        about = {"sub": grant.user.sub, "aud": grant.request.client.id, "name": grant.user.name}
        nonce = {} if grant.request.nonce is None else {"nonce": grant.request.nonce}
        return self.keys.sign("JWT", self._dated() | about | {"auth_time": grant.authenticated_at} | nonce)

    def read_access(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a valid access token of ours; None of anything else."""
        try:
            read = jwt.decode(token, self.keys.shown(), [ALGORITHM])
            jwt.JWTClaimsRegistry(int(self.clock()), exp={"essential": True}).validate(read.claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        return read.claims if read.header.get("typ") == ACCESS else None

    def _dated(self) -> dict[str, Any]:
        now = int(self.clock())
        return {"iss": self.issuer, "iat": now, "exp": now + self.seconds}


def written(scopes: frozenset[str]) -> str:
    return " ".join(sorted(scopes))
