"""Says who may do what in Kafka. It follows from the wiring: what services publish and handle, and from buses.toml.

`wired.py` derives it, and `./sliceline contracts` writes it down in `rights.json`: loading all services takes seconds
that a start has not.
"""

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import msgspec

from backbone.events.buses import EVERYBODY
from deployment.doors import OPERATOR

FILE = Path(__file__).with_name("rights.json")


class Unwired(Exception):
    """A service is in the catalogue of which nobody has written down what it may do."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"What {service} may do in Kafka is not in {FILE.name}: ./sliceline contracts writes it there."
        )


class Rights(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Names the topics that a user writes, reads and makes, a star standing for many, and his consumer group."""

    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    group: str | None = None
    sees_groups: bool = False


class Rule(msgspec.Struct, frozen=True, order=True):
    """Is one rule of Kafka's authorizer: what a user may do with what is called so, or begins so."""

    user: str
    kind: str
    name: str
    operation: str
    is_prefix: bool = False


@cache
def _known() -> Mapping[str, Rights]:
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Rights])


def every_right(services: Collection[str]) -> dict[str, Rights]:
    """Return the rights of all users that there are where these are the services. Raises Unwired."""
    found = _known()
    for service in services:
        if service not in found:
            raise Unwired(service)
    return with_the_operator({service: found[service] for service in services})


def with_the_operator(of_services: Mapping[str, Rights]) -> dict[str, Rights]:
    """Return the rights of services and, beside them, of the operator, who reads what anybody writes or reads."""
    topics = {topic for each in of_services.values() for topic in (*each.writes, *each.reads)}
    return {**of_services, OPERATOR: Rights(reads=tuple(sorted(topics)), sees_groups=True)}


def rules(user: str, rights: Rights) -> set[Rule]:
    """Return a user's rights as rules."""
    found = {
        _on_topic(user, topic, operation)
        for operation, topics in (("write", rights.writes), ("read", rights.reads), ("create", rights.makes))
        for topic in topics
    }
    if rights.group is not None:
        found.add(Rule(user, "group", rights.group, "read"))
    if rights.sees_groups:
        found.add(Rule(user, "group", EVERYBODY, "describe"))
    return found


def _on_topic(user: str, topic: str, operation: str) -> Rule:
    begin, star, _ = topic.partition(EVERYBODY)
    return Rule(user, "topic", begin if star else topic, operation, bool(star))
