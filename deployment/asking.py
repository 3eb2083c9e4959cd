"""Tells which rules of the router and endpoints of webhooks ask for a version of an event: by their patterns."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import msgspec

from backbone.events import contracts
from backbone.events.envelope import parse_type
from backbone.patterns.matching import matches
from backbone.patterns.parsing import parse
from backbone.patterns.pattern import Conjunction

LISTS = {"router": "/rules", "webhooks": "/endpoints"}
"""The services that read what somebody's patterns say, and where they list them."""
NOT_ASKED = {
    "router": "The router's rules were not asked: say --at ADDRESS of it.",
    "webhooks": "The endpoints of webhooks were not asked: say --at ADDRESS of it.",
}
NAMING = (("type",), ("dataschema",))
"""The attributes of an event that name its version."""


@dataclass(frozen=True)
class Asking:
    """Is a rule or an endpoint that is at work."""

    name: str
    """As a list shows it: `rule NAME`."""
    whole_name: str
    """As a sentence says it: `rule NAME of the router`."""
    pattern: Mapping[str, Any]

    def asks_for(self, event_type: str) -> bool:
        """Tell whether it names this version: one of its conditions holds for it, and not for what is read instead.

        What takes whatever comes takes both, and so reads no version. Conditions on all else are left out: they say
        which events of the version it is about.
        """
        instead = _instead_of(event_type)
        return any(
            matches(way, _event(event_type, at)) and not matches(way, _event(instead, at))
            for way in _ways_to_name(self.pattern)
            for at in _origins(self.pattern)
        )


def asking(service: str, items: Iterable[Mapping[str, Any]]) -> list[Asking]:
    """Return those of a service's rules or endpoints that are at work and choose events by a pattern."""
    if service == "router":
        rules = ((each["name"], each["pattern"]) for each in items if each["enabled"])
        return [Asking(f"rule {name}", f"rule {name} of the router", pattern) for name, pattern in rules]
    endpoints = ((each["id"], each["pattern"]) for each in items if each["pattern"] and each["status"] != "disabled")
    return [Asking(f"endpoint {name}", f"endpoint {name} of webhooks", pattern) for name, pattern in endpoints]


def _instead_of(event_type: str) -> str:
    """Name what is read instead of a version: what its contract says, else the version after it."""
    if leaving := contracts.leaving(event_type):
        return leaving.use
    service, event, version = parse_type(event_type)
    return f"sliceline.{service}.{event}.v{version + 1}"


def _ways_to_name(pattern: Mapping[str, Any]) -> Iterator[Conjunction]:
    """List the ways to match what a pattern says of the version, with one condition for each attribute.

    Conditions are taken one by one, as a field that lists versions 1 and 2 names each of them.
    """
    for alternative in parse(pattern).alternatives():
        fields = [alternative[path] for path in NAMING if path in alternative]
        for conditions in product(*(field.conditions for field in fields)):
            yield {
                field.path: msgspec.structs.replace(field, conditions=(one,))
                for field, one in zip(fields, conditions, strict=True)
            }


def _event(event_type: str, origin: str) -> dict[str, str]:
    return {"type": event_type, "dataschema": contracts.id_of(event_type).replace(contracts.ORIGIN, origin)}


def _origins(pattern: Mapping[str, Any]) -> set[str]:
    """Return where the pattern takes schemas to be served: which address is the right one is not known here."""
    return {contracts.ORIGIN, *re.findall('"([^"]*)/schemas/', msgspec.json.encode(pattern).decode())}
