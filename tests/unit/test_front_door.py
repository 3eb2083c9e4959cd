"""The configuration of the front door lets through what people from outside may use, and nothing else."""

import re
from typing import Any

import pytest
from fastapi import APIRouter

from backbone.http.bodies import takes_up_to
from backbone.http.permissions import may, open_to_all
from backbone.service import Service
from backbone.settings import Settings
from deployment.front_door import caddyfile, is_outside, openings, outside, shadowing
from tests.all_services import SERVICES
from tests.documents import every_route

OUTSIDE = [
    ("orders", "POST", "/orders"),
    ("orders", "GET", "/orders/{order}/stream"),
    ("orders", "GET", "/menu"),
    ("kitchen", "POST", "/tickets/prepared"),
    ("inventory", "POST", "/stock/{sku}/adjustments"),
    ("loyalty", "GET", "/customers/{customer}/points"),
    ("partners", "POST", "/partners/{partner}/events"),
]
WITHIN = [
    ("orders", "POST", "/orders/{order}/refunds"),
    ("orders", "POST", "/customers/{customer}/forget"),
    ("orders", "PATCH", "/menu/{item}"),
    ("payments", "GET", "/payments/{order}"),
    ("ledger", "GET", "/catalogue/live"),
    ("webhooks", "POST", "/endpoints"),
    ("partners", "PUT", "/partners/{partner}"),
    *(
        (name, "GET", path)
        for name in SERVICES
        for path in ("/", "/docs", "/metrics", "/health/ready", "/dead-letters")
    ),
]


def sample(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "7", template)


KNOWN = {name: (shadowing(service), openings(service)) for name, service in SERVICES.items()}


def goes_to(method: str, path: str) -> list[str]:
    """The services to which the door would send it: the configuration, read as Caddy reads it."""
    return [
        name
        for name, (within, opened) in KNOWN.items()
        if not any(method in each.methods and each.pattern.match(path) for each in within)
        and any(
            method in methods and any(re.fullmatch(each, path) for each in paths) for methods, paths in opened.items()
        )
    ]


@pytest.mark.parametrize(("name", "method", "template"), OUTSIDE)
def test_a_route_for_people_from_outside_is_let_through(name: str, method: str, template: str) -> None:
    assert any(each.template == template and method in each.methods for each in every_route(name))
    assert goes_to(method, sample(template)) == [name]


@pytest.mark.parametrize(("name", "method", "template"), WITHIN)
def test_a_route_for_operators_or_services_is_not(name: str, method: str, template: str) -> None:
    assert any(each.template == template and method in each.methods for each in every_route(name))
    assert goes_to(method, sample(template)) == []


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_let_through_is_found_by_the_service_as_the_same_route(name: str) -> None:
    """Of all routes, with those that every service has; and one path leads to one service."""
    for route in every_route(name):
        for method in route.methods:
            path = sample(route.template)
            first = next(each for each in every_route(name) if method in each.methods and each.pattern.match(path))
            is_let_through = first.template in {each.template for each in outside(SERVICES[name])}
            is_let_through = is_let_through and is_outside(first.permission)
            assert goes_to(method, path) == ([name] if is_let_through else []), (method, path)


router = APIRouter()


@router.get("/things/hidden")
@may("operations.read")
async def hidden() -> None:
    """A route from within that comes first."""


@router.get("/things/{thing}/{part}")
@may("operations.read")
async def part() -> None:
    """Another one, with other places for what it asks of."""


@router.get("/things/7/{thing:path}")
@open_to_all("It is a test's.")
async def rest() -> None:
    """A route that takes the rest of a path."""


@router.get("/things/{thing}")
@open_to_all("It is a test's.")
async def thing() -> None:
    """A route that would match the hidden one's path."""


@router.post("/things")
@open_to_all("It is a test's.")
@takes_up_to(1_000_000)
async def large() -> None:
    """A route that takes a large body."""


@router.get("/things/after")
@may("operations.read")
async def after() -> None:
    """A route that the service never finds."""


THINGS: dict[str, Service[Any]] = {"things": Service("things", Settings, router)}


def test_a_route_from_within_is_kept_within_where_one_for_outside_would_match_its_path_as_well() -> None:
    assert [each.template for each in shadowing(THINGS["things"])] == ["/things/hidden", "/things/{thing}/{part}"]
    text = caddyfile(THINGS)
    assert text.index("error @things-within-1 404") < text.index("reverse_proxy @things-1 things:8000")


def test_a_body_may_be_as_large_as_the_largest_that_is_taken_from_outside() -> None:
    assert "max_size 1000000" in caddyfile(THINGS)
    assert "max_size 65536" in caddyfile(SERVICES)
