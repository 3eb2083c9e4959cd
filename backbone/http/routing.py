"""Finds the routes of a request's path, also when none was taken: refused before, or asked with another method."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette.types import Scope

from backbone.http.permissions import permission_of
from backbone.identity.caller import Permission

UNKNOWN = "none"
"""What stands for every path without a route."""


@dataclass(frozen=True)
class RoutePattern:
    """Is a route as it is found by a path: its template, the expression that the path must match, who may use it."""

    template: str
    pattern: re.Pattern[str]
    methods: frozenset[str]
    permission: Permission | None


_routes: WeakKeyDictionary[Any, Sequence[RoutePattern]] = WeakKeyDictionary()


def template_of(scope: Scope) -> str:
    """Return the path's template, like /orders/{order}: they are few, where paths are as many as orders."""
    taken = getattr(scope.get("route"), "path_format", None)
    if taken is not None:
        return str(taken)
    found = _at(scope)
    exact = (route for route in found if scope["method"] in route.methods)
    first = next(exact, found[0] if found else None)
    return first.template if first else UNKNOWN


def methods_at(scope: Scope) -> list[str]:
    """Return the methods that a request's path has, over all routes; those of the whole service for the target *."""
    routes = _known(scope["app"]) if scope["path"] == "*" else _at(scope)
    named = set().union(*(route.methods for route in routes))
    also = {"OPTIONS"} | ({"HEAD"} if "GET" in named else set())
    return sorted(named | also) if named else []


def permission_at(scope: Scope) -> Permission | None:
    """Return who may do what a request asks for; None where there is no route for it. HEAD is as GET."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    path = scope["path"]
    taken = (each for each in _known(scope["app"]) if method in each.methods and each.pattern.match(path))
    return next((route.permission for route in taken), None)


def permissions(application: Any) -> dict[tuple[str, str], Permission]:
    """Return who may use what, by path and method, wherever it is said."""
    return {
        (route.template, method): route.permission
        for route in _known(application)
        for method in route.methods
        if route.permission is not None
    }


def include(application: Any, router: APIRouter, tag: str) -> None:
    """Include a router as it is, under a tag, and note its routes.

    FastAPI makes each route of an included router anew when it first looks at that router. Telling what routes there
    are is no reason to: that of all would take a service a tenth of a second.
    """
    known = _known(application)
    application.include_router(router, tags=[tag])
    _routes[application] = [*known, *routes_of(router)]


def undeclared(application: Any) -> list[str]:
    """Name the routes at which nothing says who may use them."""
    return [
        f"{method} {route.template}"
        for route in _known(application)
        for method in sorted(route.methods)
        if route.permission is None
    ]


def routes_of(application: Any) -> Sequence[RoutePattern]:
    """Return the routes of an application or a router, in the order in which they are tried."""
    return [
        RoutePattern(str(each.path_format), each.path_regex, frozenset(each.methods), permission_of(each.endpoint))
        for each in iter_route_contexts(application.routes)
        if each.methods
    ]


def _at(scope: Scope) -> list[RoutePattern]:
    return [route for route in _known(scope["app"]) if route.pattern.match(scope["path"])]


def _known(application: Any) -> Sequence[RoutePattern]:
    if application not in _routes:
        _routes[application] = routes_of(application)
    return _routes[application]
