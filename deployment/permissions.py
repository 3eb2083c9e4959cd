"""Writes the page that says who may do what: over HTTP, in Kafka, in Postgres, and which container reaches which."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backbone.application import create_application
from backbone.context import Context
from backbone.http.routing import permissions
from backbone.identity.caller import Permission
from backbone.service import Service
from backbone.settings import ROLES
from backbone.storage.confined import customers_of
from backbone.storage.database import Database
from backbone.storage.tables import metadata as of_the_backbone
from deployment import grants, networks, people
from deployment.reference import REFERENCE
from deployment.rights import Rights, with_the_operator
from deployment.roles import READER
from deployment.wired import rights_of
from services import CATALOGUE

PERMISSIONS = REFERENCE.with_name("permissions.md")
UNUSED = "postgresql://unused"
NOBODY = "http://issuer.invalid"
Routes = Mapping[tuple[str, str], Permission]
"""Who may use each route, by path and method."""

INTRODUCTION = """\
# Who may do what

Written by `./sliceline contracts` from where it is declared; a test holds it to that. What is meant by it, and which
tests ask real servers for it: [security](security.md).
"""
HTTP = """\
## Over HTTP

What a route takes stands at the route (`@may`), which scopes a role has in [people.toml](../deployment/people.toml).
*own*: what is the caller's own, and a 404 for anything else. A role without a column may do nothing there.
"""
WHO = "| role | in the sandbox |\n| --- | --- |"
KAFKA = """\
## In Kafka

As [rights.json](../deployment/rights.json) and [buses.toml](../buses.toml) have it; a star stands for many. Nobody else
is let near a topic but the administrator, who is `migrate`, and guests, each for what he is admitted to.

| topic | may write | may read | may make it |
| --- | --- | --- | --- |"""
POSTGRES = f"""\
## In Postgres

As the tables say it where they are described (`tables.py`), in the database of each service. A service is nobody in
the databases of others; during a customer's request it is the role `…_customers`, which sees *own* rows alone;
`{READER}` is `./sliceline psql`. Everything else, like making and emptying tables, is for their owner, who is
`migrate`.

| in the database of | tables | the service | `…_customers` | `{READER}` |
| --- | --- | --- | --- | --- |"""
CONTAINERS = """\
## Between containers

Who shares a network reaches each other, whoever it is that asks, and nobody reaches anybody else. What a service calls
follows from its settings and its wiring, who calls it beside services from its routes. A worker only calls.
Those in `published` and `egress` do not even reach each other there.

| network | in it | who is in it | leads out |
| --- | --- | --- | --- |"""
Row = tuple[str, str, str]
"""What the roles may do with a table, in words and in the order of the columns."""
VERBS = {"SELECT": "reads", "INSERT": "adds", "UPDATE": "changes", "DELETE": "deletes"}


def routes_of(service: Service[Any]) -> Routes:
    """Return who may use each route of a service. HEAD is left out: it is as GET."""
    settings = service.settings(database_url=UNUSED, issuer=NOBODY, roles=",".join(ROLES))
    found = permissions(create_application(service, Context(settings, Database(UNUSED, service.name))))
    return {(path, method): said for (path, method), said in found.items() if method != "HEAD"}


def page(services: Mapping[str, Service[Any]]) -> Iterator[str]:
    """Return the page's lines."""
    yield INTRODUCTION
    yield from _http({name: routes_of(service) for name, service in services.items()})
    yield KAFKA
    yield from _kafka(with_the_operator({name: rights_of(service) for name, service in services.items()}))
    yield POSTGRES
    yield from _postgres(services)
    yield CONTAINERS
    yield from networks.table(services)
    yield ""


def _http(routes: Mapping[str, Routes]) -> Iterator[str]:
    yield HTTP
    yield WHO
    for role in people.roles():
        yield f"| {role} | {', '.join(_who_has(role))} |"
    everywhere = set.intersection(*(set(each.items()) for each in routes.values()))
    yield "\n### Every service\n"
    yield from _routes(dict(each for each in next(iter(routes.values())).items() if each in everywhere))
    for name, each in routes.items():
        yield f"### {name}\n"
        yield from _routes({route: said for route, said in each.items() if (route, said) not in everywhere})


def _who_has(role: str) -> Iterable[str]:
    programs = people.clients()
    if all(role in programs[name] for name in CATALOGUE):
        return ["every service"]
    return [name for name, theirs in {**people.people(), **programs}.items() if role in theirs]


def _routes(routes: Routes) -> Iterator[str]:
    if closed := {route: said for route, said in routes.items() if said.scope is not None}:
        yield from _closed(closed)
    opened: dict[str, list[str]] = defaultdict(list)
    for (path, method), said in routes.items():
        if said.scope is None:
            opened[said.why].append(f"`{method} {path}`")
    yield from (f"- Open to all: {', '.join(named)}. {why}" for why, named in opened.items())
    yield ""


def _closed(routes: Routes) -> Iterator[str]:
    of_roles = {
        role: {route: _extent(said, scopes) for route, said in routes.items()}
        for role, scopes in people.roles().items()
    }
    columns = {role: extents for role, extents in of_roles.items() if any(extents.values())}
    yield f"| route | scope | {' | '.join(columns)} |"
    yield f"| --- | --- |{' --- |' * len(columns)}"
    for (path, method), said in routes.items():
        extents = " | ".join(each[path, method] for each in columns.values())
        yield f"| `{method} {path}` | {said.scope} | {extents} |"
    yield ""


def _extent(said: Permission, scopes: frozenset[str]) -> str:
    if said.scope in scopes:
        return "yes"
    return "own" if scopes.intersection(said.scopes) else ""


def _kafka(rights: Mapping[str, Rights]) -> Iterator[str]:
    topics = {topic for each in rights.values() for topic in (*each.writes, *each.reads, *each.makes)}
    for topic in sorted(topics):
        lists = (
            [user for user, each in rights.items() if topic in each.writes],
            [user for user, each in rights.items() if topic in each.reads],
            [user for user, each in rights.items() if topic in each.makes],
        )
        yield f"| `{topic}` | {' | '.join(map(', '.join, lists))} |"
    groups = [user for user, each in rights.items() if each.group is not None]
    seeing = [user for user, each in rights.items() if each.sees_groups]
    yield f"\nEach of these joins the consumer group of its own name, and no other: {', '.join(groups)}."
    yield f"Who reads in which group is shown to: {', '.join(seeing)}.\n"


def _postgres(services: Iterable[str]) -> Iterator[str]:
    shared = of_the_backbone.tables.keys()
    declared = {name: _by_table(name) for name in services}
    yield from _tables(
        "every service", {table: each for table, each in next(iter(declared.values())).items() if table in shared}
    )
    for name, tables in declared.items():
        yield from _tables(name, {table: each for table, each in tables.items() if table not in shared})
    yield ""


def _by_table(service: str) -> dict[str, Row]:
    """Return what may be done with each table of a service's database."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for table, role, privilege in grants.declared(service):
        found[table][role].add(privilege)
    walled = grants.policies(service)
    return {
        table: (
            _in_words(found[table][service]),
            f"{_in_words(found[table][customers_of(service)])}{' own' if table in walled else ''}",
            _in_words(found[table][READER]),
        )
        for table in sorted(found)
    }


def _in_words(privileges: set[str]) -> str:
    return ", ".join(verb for privilege, verb in VERBS.items() if privilege in privileges)


def _tables(where: str, tables: Mapping[str, Row]) -> Iterator[str]:
    """Write a line for all tables with which the same may be done."""
    alike: dict[Row, list[str]] = defaultdict(list)
    for table, said in tables.items():
        alike[said].append(f"`{table}`")
    for said, names in sorted(alike.items(), reverse=True):
        yield f"| {where} | {', '.join(names)} | {' | '.join(said)} |"
