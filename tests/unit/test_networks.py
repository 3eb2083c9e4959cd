"""The networks of docker-compose.yml are those that follow from what services declare, and part who must be parted."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import msgspec
import pytest
from fastapi import APIRouter

from backbone.http.permissions import may
from backbone.service import Service
from backbone.settings import Settings
from cli.making.lists import edited
from cli.making.wanted import wanted
from deployment.front_door import outside
from deployment.networks import INTERNAL, NETWORKS, OTHERS, called, calls, networks, reached, worker_of
from local import ROOT
from services import CATALOGUE
from tests.all_services import SERVICES

TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = msgspec.yaml.decode(TEXT)
NEEDED = networks(SERVICES)
REACHED = reached(NEEDED)
ISSUERS = {"identity", "keycloak"}
WITH_WORKERS = {*CATALOGUE, *map(worker_of, CATALOGUE)}


def networks_in(compose: Mapping[str, Any]) -> dict[str, object]:
    """The networks of each container; of one that is in none, how it says so."""
    return {
        name: block["network_mode"] if "network_mode" in block else frozenset(block.get("networks", ["default"]))
        for name, block in compose["services"].items()
    }


def who_reaches(name: str) -> set[str]:
    return {each for each, others in REACHED.items() if name in others}


def test_every_container_in_compose_is_in_the_networks_that_follow_from_the_code_and_in_no_other() -> None:
    assert networks_in(COMPOSE) == {name: needed or "none" for name, needed in NEEDED.items()}


def test_the_networks_in_compose_are_made_as_they_are_declared() -> None:
    assert COMPOSE["networks"] == {name: network.declared for name, network in NETWORKS.items()}


def test_a_new_service_in_compose_is_in_the_networks_of_whatever_it_calls_and_so_is_its_worker() -> None:
    text = edited(ROOT, wanted("moods", ["order-completed"], ["mood-told"]))["docker-compose.yml"]
    found = networks_in(msgspec.yaml.decode(text))
    assert found["moods"] == found["moods-worker"] == {"postgres", "kafka", "services"}


def test_nobody_reaches_postgres_or_kafka_who_has_no_business_there() -> None:
    assert who_reaches("postgres") == who_reaches("kafka") == {*WITH_WORKERS, "migrate"}
    assert REACHED["migrate"] == {"postgres", "kafka", *WITH_WORKERS}


def test_who_takes_money_and_who_sends_mail_alone_reach_those_who_do_it() -> None:
    assert who_reaches("provider") == {"payments", "payments-worker"}
    assert who_reaches("mail") == {"notifications", "notifications-worker"}


def test_the_front_door_reaches_those_alone_who_have_routes_for_people_outside() -> None:
    assert REACHED["front"] == {name for name, service in SERVICES.items() if outside(service)}
    assert who_reaches("front") == REACHED["front"] != set(CATALOGUE)


def test_the_robot_reaches_its_places_of_work_and_the_identity_provider_alone() -> None:
    assert REACHED["robot"] == {"kitchen", "delivery", *ISSUERS}


def test_the_identity_provider_is_reached_by_those_alone_who_need_tokens_or_keys() -> None:
    for name in ISSUERS:
        assert who_reaches(name) == {*WITH_WORKERS, "robot", "console", *ISSUERS} - {name}


def test_who_draws_secrets_or_writes_files_reaches_nobody() -> None:
    for name in ("passwords", "certificates", "people", "realm"):
        assert REACHED[name] == who_reaches(name) == set()


def test_who_publishes_a_port_is_in_a_network_that_can() -> None:
    publishing = {name for name, block in COMPOSE["services"].items() if "ports" in block}
    assert publishing == {*CATALOGUE, *OTHERS} - {"migrate", "robot", "passwords", "certificates", "people", "realm"}
    for name in publishing:
        assert [each for each in NEEDED[name] if NETWORKS[each].declared != INTERNAL]


def test_who_gets_out_does_so_by_the_network_that_leads_out() -> None:
    """The engine takes the first one by name of those that are not internal."""
    assert {name for name, needed in NEEDED.items() if "egress" in needed} == {"front", "webhooks", "webhooks-worker"}
    assert min(name for name, network in NETWORKS.items() if network.declared != INTERNAL) == "egress"


def test_no_name_is_found_where_whoever_has_it_is_not_reached() -> None:
    """Of several networks that two are in, the engine tells the address in any. A worker does not call its service."""
    for one, other in combinations(NEEDED, 2):
        if other == worker_of(one):
            continue
        both = NEEDED[one] & NEEDED[other]
        assert len({NETWORKS[each].is_shared for each in both}) <= 1, (one, other)


def with_a_route(service: Service[Any], scope: str, *, own: bool) -> Service[Any]:
    router = APIRouter()

    @router.get("/anything")
    @may(scope, own=own)
    async def anything() -> None: ...

    return replace(service, router=router)


@pytest.mark.parametrize(
    ("scope", "own", "networks_of_it"),
    [
        ("orders.read", True, {"front"}),
        ("stock.read", False, {"front"}),
        ("tickets.read", False, {"front", "staff"}),
        ("alerts.read", False, set()),
    ],
)
def test_whom_somebody_calls_who_is_no_service_follows_from_the_scopes_of_its_routes(
    scope: str, own: bool, networks_of_it: set[str]
) -> None:
    assert called(with_a_route(SERVICES["alerts"], scope, own=own)) == networks_of_it


def test_whom_a_service_calls_follows_from_its_settings_and_its_wiring() -> None:
    class Asking(Settings):
        smtp_host: str = "mail"

    silent = replace(SERVICES["alerts"], handlers={}, publishes=())
    assert calls(SERVICES["alerts"]) == {"postgres", "kafka", "services"}
    assert calls(silent) == {"postgres", "services"}
    assert calls(replace(silent, settings=Asking)) == {"postgres", "services", "mail"}
