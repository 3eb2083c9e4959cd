"""Every route of every service, asked in every role over HTTP: what is declared is let in, everything else is not."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest

from backbone.service import Service
from backbone.storage.database import Database
from deployment import people
from deployment.permissions import routes_of
from services import CATALOGUE
from tests.all_services import SERVICES
from tests.conftest import NewDatabase
from tests.integration.one_service import fed
from tests.issuing import Issuer, bearing, issuing

ROLES = people.roles()
REFUSED = (401, 403)
ONE = "orders"


def declared(service: Service[Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The scopes of which each route takes one, by path and method; none where it is open."""
    return {route: each.scopes for route, each in routes_of(service).items()}


@cache
def shared() -> dict[tuple[str, str], tuple[str, ...]]:
    """What is the same in each service, route and scopes: it is served by the same code, and asked of one."""
    each = [declared(service).items() for service in SERVICES.values()]
    found = dict(set(each[0]).intersection(*each[1:]))
    assert len(found) > 30
    return found


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.mark.parametrize("name", CATALOGUE)
async def test_each_role_may_use_the_routes_that_are_declared_for_it_and_no_other(
    name: str, new_database: NewDatabase, issuer: Issuer
) -> None:
    service = SERVICES[name]
    routes = declared(service)
    assert routes.items() >= shared().items()
    if name != ONE:
        routes = {route: scopes for route, scopes in routes.items() if route not in shared()}
    async with fed(service, new_database, issuer=issuer.url) as asked:
        for role, scopes in {"nobody": None, "no role": frozenset[str](), **ROLES}.items():
            sent = {} if scopes is None else bearing(issuer.token("ann", *sorted(scopes)))
            wrong = [
                (method, path, answer)
                for (path, method), taken in routes.items()
                if ((answer := await ask(asked.client, method, path, sent)) in REFUSED) != is_refused(taken, scopes)
            ]
            assert not wrong, role
        assert await without_row(asked.database, routes) == []


async def without_row(database: Database, routes: dict[tuple[str, str], tuple[str, ...]]) -> list[str]:
    """Name what was asked above and is not in the log: every refusal, and every command by somebody who may give it."""
    entries = [json.loads(row["entry"]) for row in await database.fetch("SELECT entry FROM audit_waiting")]
    refused = {(each["what"], each["status"]) for each in entries}
    given = {each["what"] for each in entries if each["status"] not in REFUSED and each["actor"] == "ann"}
    closed = {f"{method} {path}": (method, scopes) for (path, method), scopes in routes.items() if scopes}
    return [
        what
        for what, (method, scopes) in closed.items()
        if not {(what, status) for status in REFUSED} <= refused
        or (method != "GET" and not scopes[0].endswith(".read") and what not in given)
    ]


def is_refused(taken: tuple[str, ...], scopes: frozenset[str] | None) -> bool:
    return bool(taken) and not set(taken) & (scopes or set())


async def ask(client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]) -> int:
    """Ask for what is not there, and with no body: whoever is let in is told of that."""
    filled = re.sub(r"\{[^}]*\}", "7", path)
    return (await client.request(method, filled, headers=headers)).status_code


def test_every_scope_that_a_route_takes_is_somebodys_and_none_is_for_nothing() -> None:
    taken = {scope for name in CATALOGUE for scopes in declared(SERVICES[name]).values() for scope in scopes}
    given = {scope for scopes in ROLES.values() for scope in scopes}
    own = {scope for scope in taken if scope.endswith(".own")}
    assert {scope.removesuffix(".own") for scope in own} <= taken
    assert given == taken


def test_every_role_is_somebodys() -> None:
    held = {role for roles in (*people.people().values(), *people.clients().values()) for role in roles}
    assert held == set(ROLES)
