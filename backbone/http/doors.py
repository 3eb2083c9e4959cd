"""Asks each request who it comes from, before anything of its body is read, and lets in whom the route lets in."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from backbone.context import Context
from backbone.http.problems import Problem, malformed
from backbone.http.rates import Rates
from backbone.http.routing import permission_at
from backbone.identity.caller import NOBODY, Caller, Permission, own
from backbone.identity.tokens import TokenRefused
from backbone.storage.confined import confined_to

AUTHORIZATION = "Authorization"


class Doors:
    """ASGI: puts the `caller`, and the route's `permission`, into the request's state.

    Whoever is let in for one's own things alone is shown no others by the database either.
    """

    def __init__(self, app: ASGIApp, context: Context[Any], rates: Rates) -> None:
        self.app = app
        self._context = context
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through that its route lets in. Raises Problem 401, 403 and 429, and IssuerAway."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        state = scope.setdefault("state", {})
        state["permission"] = permission_at(scope)
        try:
            state["caller"] = caller = await admitted(state["permission"], given, self._context)
        except NotAllowed as refused:
            state["caller"] = refused.caller  # so that the log of acts tells who it was
            raise
        self._rates.admit_principal(scope, caller)
        with confined_to(caller.only):
            await self.app(scope, receive, send)


class NotAllowed(Problem):
    """Somebody who is known may not do what was asked."""

    def __init__(self, caller: Caller, permission: Permission) -> None:
        super().__init__(
            403,
            "Not allowed",
            f"This takes a token with the scope {' or '.join(permission.scopes)}, and yours is without.",
            headers={"WWW-Authenticate": _challenge("insufficient_scope", permission.scopes[-1])},
        )
        self.caller = caller


async def admitted(permission: Permission | None, given: Sequence[bytes], context: Context[Any]) -> Caller:
    """Return who asks by the Authorization headers of a request. Raises Problem 401 and 403, and IssuerAway.

    Where there is no route there is nothing to refuse; whoever asks is told that there is none.
    """
    if context.tokens is None or permission is None or permission.scope is None:
        return NOBODY
    try:
        token = await context.tokens.read(_bearer(given, context.tokens.issuer))
    except TokenRefused as refused:
        wanted = f"Tokens are those of {context.tokens.issuer}."
        raise _unauthorized(f"The token is refused. {refused} {wanted}", "invalid_token") from None
    over_at = asyncio.get_running_loop().time() + token.remaining
    if permission.scope in token.scopes:
        return Caller(token.subject, over_at=over_at)
    if permission.own and own(permission.scope) in token.scopes:
        return Caller(token.subject, only=token.subject, over_at=over_at)
    raise NotAllowed(Caller(token.subject), permission)


def _bearer(given: Sequence[bytes], issuer: str) -> str:
    """Return the token of a request (RFC 6750 2.1). Raises Problem."""
    if len(given) > 1:
        raise malformed("Send one Authorization.", AUTHORIZATION)
    scheme, _, token = (given[0] if given else b"").decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthorized(
            f"Send a token of {issuer}: Authorization: Bearer … (./sliceline token prints one of the sandbox's)."
        )
    return token.strip()


def _unauthorized(detail: str, error: str | None = None) -> Problem:
    return Problem(401, "Not authorized", detail, headers={"WWW-Authenticate": _challenge(error)})


def _challenge(error: str | None, scope: str | None = None) -> str:
    """Say what to do to be let in (RFC 6750 3)."""
    said = {"realm": "sliceline", "error": error, "scope": scope}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in said.items() if value)


def confine(caller: Caller, customer: str | None) -> None:
    """Let nobody do in somebody else's name what is allowed for oneself alone. Raises Problem 403."""
    if not caller.may_touch(customer):
        raise Problem(403, "Not allowed", f"Your token is for what is {caller.only}'s alone.", field="customer.id")


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Asking = Annotated[Caller, Depends(_caller)]
"""Who sent the request."""
