"""Derives which networks of docker-compose.yml a container is in, and so who reaches whom, from what services declare.

A service is in the network of whatever it calls, as its settings and its wiring say, and in those in which somebody
calls it who is no service: the front door and the staff, as its routes say. Its workers only call. The file is written
by hand: `tests/unit/test_networks.py` holds it to this, and `.ci/reach.py` the containers that run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backbone.http.routing import routes_of
from backbone.service import Service
from deployment import people
from deployment.front_door import outside
from deployment.rights import Rights
from deployment.wired import rights_of

Networks = Mapping[str, frozenset[str]]
"""The networks that each container is in."""
Declared = Mapping[str, Any]
"""A network as docker-compose.yml has it."""
BRIDGE = "com.docker.network.bridge."
INTERNAL: Declared = {"internal": True}
"""Nothing leads out of it, and no port is published by it."""
CLOSED: Declared = {"driver_opts": {f"{BRIDGE}enable_ip_masquerade": "${SLICELINE_EGRESS:-false}"}}
"""Ports are published by it, and nothing leads out unless somebody says so."""
WATCHED: Declared = {"driver_opts": {f"{BRIDGE}enable_ip_masquerade": "false"}}
"""Ports are published by it, and nothing leads out of it."""
PORTS: Declared = {"driver_opts": {f"{BRIDGE}enable_ip_masquerade": "false", f"{BRIDGE}enable_icc": "false"}}
OPEN: Declared = {"driver_opts": {f"{BRIDGE}enable_icc": "false"}}


@dataclass(frozen=True)
class Network:
    """Says what a network is for, and how it is declared."""

    about: str
    declared: Declared

    @property
    def is_shared(self) -> bool:
        """Tell whether those in it reach each other."""
        return f"{BRIDGE}enable_icc" not in self.declared.get("driver_opts", {})


NETWORKS = {
    "postgres": Network("who has a database asks Postgres", INTERNAL),
    "kafka": Network("who publishes or reads asks Kafka", INTERNAL),
    "services": Network("services ask each other, and the identity provider", CLOSED),
    "front": Network("the front door asks who has routes for those outside", INTERNAL),
    "staff": Network("the robot asks whose routes it may use, and the identity provider", CLOSED),
    "provider": Network("who takes money asks the payment provider", INTERNAL),
    "mail": Network("who sends mail asks the mail server", INTERNAL),
    "telemetry": Network("services send spans to the collector, and Prometheus asks for what they count", INTERNAL),
    "watching": Network("who shows what was counted asks who keeps it", WATCHED),
    "published": Network("ports of those who call nobody are published on this machine", PORTS),
    "egress": Network("who calls addresses that others name gets out", OPEN),
}
CALLS = {
    "postgres": "database_url",
    "services": "services",
    "provider": "provider_url",
    "mail": "smtp_host",
    "telemetry": "otlp_endpoint",
    "egress": "webhook_networks",
}
"""The setting by which a service calls whoever is in a network; with Kafka it is the wiring."""
OTHERS: Networks = {
    "postgres": frozenset({"postgres", "published"}),
    "kafka": frozenset({"kafka", "published"}),
    "migrate": frozenset({"postgres", "kafka"}),
    "front": frozenset({"front", "egress"}),  # it gets a certificate at an authority
    "identity": frozenset({"services", "staff"}),
    "keycloak": frozenset({"services", "staff"}),
    "provider": frozenset({"provider", "published"}),
    "mail": frozenset({"mail", "published"}),
    "robot": frozenset({"staff"}),
    "console": frozenset({"services"}),
    "collector": frozenset({"telemetry", "watching"}),
    "prometheus": frozenset({"telemetry", "watching"}),
    "jaeger": frozenset({"watching"}),
    "grafana": frozenset({"watching"}),
    # What draws secrets, or writes files, calls nobody.
    "passwords": frozenset(),
    "certificates": frozenset(),
    "people": frozenset(),
    "realm": frozenset(),
}


def networks(services: Mapping[str, Service[Any]]) -> Networks:
    """Return the networks of every container, by its name in docker-compose.yml."""
    of_services = {name: calls(service) | called(service) for name, service in services.items()}
    of_workers = {worker_of(name): calls(service) for name, service in services.items()}
    return {**of_services, **of_workers, **OTHERS}


def worker_of(service: str) -> str:
    """Return how the containers are called that only consume a service's events and do its jobs."""
    return f"{service}-worker"


def calls(service: Service[Any]) -> frozenset[str]:
    """Return the networks in which a service calls somebody."""
    told = service.settings.model_fields
    kafka = {"kafka"} if rights_of(service) != Rights() else set()
    return frozenset(kafka | {network for network, setting in CALLS.items() if setting in told})


def called(service: Service[Any]) -> frozenset[str]:
    """Return the networks in which somebody calls a service who is none."""
    by = {"front": bool(outside(service)), "staff": _is_for_staff(service)}
    return frozenset(network for network, is_called in by.items() if is_called)


def _is_for_staff(service: Service[Any]) -> bool:
    """Tell whether the robot may use a route of a service."""
    scopes = frozenset().union(*(people.roles()[role] for role in people.clients()["robot"]))
    return any(each.permission and not scopes.isdisjoint(each.permission.scopes) for each in routes_of(service.router))


def reached(of: Networks) -> dict[str, set[str]]:
    """Return for each container the others that it reaches."""
    return {name: {other for other in of if other != name and _share(of[name], of[other])} for name in of}


def _share(one: frozenset[str], other: frozenset[str]) -> bool:
    return any(NETWORKS[network].is_shared for network in one & other)


def table(services: Mapping[str, Service[Any]]) -> Iterator[str]:
    """Yield a line of a table for each network: what it is for, who is in it, whether something leads out of it."""
    of = networks(services)
    for name, network in NETWORKS.items():
        inside = [each for each, theirs in of.items() if name in theirs]
        yield f"| {name} | {network.about} | {', '.join(_said(inside, list(services)))} | {_way_out(network)} |"


def _said(inside: list[str], services: list[str]) -> Iterator[str]:
    """Yield who is in a network; a service is named with its worker, and all of them in one word."""
    working = [name for name in services if worker_of(name) in inside]
    named = ["every service"] if working == services else working
    yield from (f"{name} with its worker" for name in named)
    yield from (name for name in inside if name not in {*working, *map(worker_of, working)})


def _way_out(network: Network) -> str:
    if network.declared == CLOSED:
        return "with `SLICELINE_EGRESS`"
    return "yes" if network.declared == OPEN else "no"
