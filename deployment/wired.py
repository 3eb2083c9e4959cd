"""Derives what a service may do in Kafka from its wiring: what it publishes and handles, where buses.toml lets it."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from backbone.consuming.handlers import topics_of
from backbone.events import buses
from backbone.service import Service
from deployment.doors import GUEST
from deployment.rights import Rights, Rule, rules


def rights_of(service: Service[Any]) -> Rights:
    """Derive what a service may do from its wiring."""
    return Rights(
        writes=tuple(_written(service)) if service.publishes else (),
        reads=tuple(topics_of(service.handlers)),
        makes=tuple(_made(service.name)) if service.publishes else (),
        group=service.name if service.handlers else None,
    )


def _written(service: Service[Any]) -> Iterable[str]:
    each = (bus for bus in buses.known().values() if bus.lets_publish(service.name))
    return sorted(bus.topics if bus.is_many else bus.topic(service.name) for bus in each)


def _made(service: str) -> Iterable[str]:
    """Name what stands for topics that are made when something first goes there, by whoever publishes it."""
    return sorted(bus.topics for bus in buses.known().values() if bus.is_many and bus.lets_publish(service))


def guest(service: Service[Any]) -> tuple[str, set[Rule]]:
    """Name the user that an outside partner's service is, with the rules that follow from its wiring."""
    user = f"{GUEST}{service.name}"
    return user, rules(user, rights_of(service))


def written_down(services: Mapping[str, Service[Any]]) -> str:
    """Return what rights.json has to say."""
    told = {name: rights_of(service) for name, service in services.items()}
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"
