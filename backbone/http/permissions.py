"""Says at each route who may use it. What is said nowhere is refused: `doors.py` asks, OpenAPI tells."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute

from backbone.identity.caller import Permission

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_PERMISSION = "permission"


def may(scope: str, *, own: bool = False) -> Callable[[Endpoint], Endpoint]:
    """Let those in whose token has this scope; with `own` also who has `scope`.own, whom the route confines to that."""
    return _marked(Permission(scope, own))


def open_to_all(why: str) -> Callable[[Endpoint], Endpoint]:
    """Let everybody in, with a token or without, for this reason."""
    return _marked(Permission(None, why=why))


def permission_of(endpoint: Callable[..., Any] | None) -> Permission | None:
    """Return what is said at a route's function; None where nothing is."""
    return getattr(endpoint, _PERMISSION, None)


def said_at(router: APIRouter, path: str) -> Permission:
    """Return who may POST to one of a router's own paths. Raises LookupError where nothing is said."""
    posts = (each for each in router.routes if isinstance(each, APIRoute) and "POST" in (each.methods or ()))
    permission = next((permission_of(each.endpoint) for each in posts if each.path == path), None)
    if permission is None:
        raise LookupError(f"nothing says who may POST to {path}")
    return permission


def _marked(permission: Permission) -> Callable[[Endpoint], Endpoint]:
    def marked(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__[_PERMISSION] = permission
        return endpoint

    return marked
