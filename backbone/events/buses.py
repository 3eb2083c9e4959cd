"""Knows the buses: which topics there are, how they are kept, who may publish to them and who may read them.

All of it stands in `buses.toml` and nowhere else. A service publishes to one topic of a bus: on the default bus to its
own, on any other to the one that there is.

A bus may stand for many: `partner.*` is `partner.acme` and whatever else is called so. Such a bus has its topic made
when something first goes there.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from backbone.errors import SlicelineError
from backbone.events.topics import DEFAULT_BUS

FILE = Path(__file__).resolve().parents[2] / "buses.toml"
EVERYBODY = "*"
_SUFFIX = ".events"
# What Kafka allows, without the capitals and underscores that its metrics cannot tell from others.
_TOPIC = re.compile(r"(\*|[a-z0-9][a-z0-9.-]{0,100}(\.\*)?)\.events")
_NAME = re.compile(r"[a-z][a-z0-9.-]{0,63}(\.\*)?")
# Without the dots and underscores that Kafka takes for each other.
_ONE_OF_MANY = re.compile("[A-Za-z0-9-]{1,64}")


class BadBuses(SlicelineError):
    """buses.toml says what cannot be."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"buses.toml: {reason}")


class UnknownBus(SlicelineError):
    """There is no bus of this name."""

    def __init__(self, name: str) -> None:
        near = difflib.get_close_matches(name, known(), n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known())}."
        super().__init__(f"buses.toml has no bus {name}. {hint}")


class NotAllowed(SlicelineError):
    """A service publishes to a bus to which buses.toml does not let it."""

    def __init__(self, service: str, bus: "Bus") -> None:
        super().__init__(f"{service} may not: buses.toml lets {listed(bus.publish)} publish to {bus.name}.")


class Bus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describes a bus. `topics` is a topic, or with a star one for each service, or for each of many buses."""

    name: str = ""
    topics: str
    partitions: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3660)]
    publish: tuple[str, ...]
    read: tuple[str, ...]

    @property
    def is_many(self) -> bool:
        """Whether it stands for all buses that are called so."""
        return self.name.endswith(EVERYBODY)

    @property
    def is_made_when_needed(self) -> bool:
        """Whether its topic is made when something first goes there: it is one of many."""
        return not self.is_many and self.name not in known()

    @property
    def retention(self) -> timedelta:
        """How long topics of the bus keep their events."""
        return timedelta(days=self.retention_days)

    def topic(self, service: str) -> str:
        """Name the topic that a service publishes to."""
        return self.topics.replace(EVERYBODY, service)

    def topics_of(self, services: Iterable[str]) -> list[str]:
        """Name all topics that the bus has from the start where these are the services, in their order."""
        if self.is_many:
            return []
        return list(dict.fromkeys(self.topic(each) for each in services if self.lets_publish(each))) or (
            [] if EVERYBODY in self.topics else [self.topics]
        )

    def one(self, name: str) -> "Bus | None":
        """Return the bus of this name, where this one stands for it; None elsewhere."""
        return self._one(self.name, name)

    def one_with(self, topic: str) -> "Bus | None":
        """Return the bus that has this topic, where this one stands for it; None elsewhere."""
        return self._one(self.topics, topic)

    def _one(self, pattern: str, text: str) -> "Bus | None":
        begin, _, end = pattern.partition(EVERYBODY)
        if not (self.is_many and text.startswith(begin) and text.endswith(end)):
            return None
        which = text[len(begin) : len(text) - len(end)]
        if not _ONE_OF_MANY.fullmatch(which):
            return None
        name, topics = (each.replace(EVERYBODY, which) for each in (self.name, self.topics))
        return msgspec.structs.replace(self, name=name, topics=topics)

    def lets_publish(self, service: str) -> bool:
        """Tell whether a service may publish here."""
        return EVERYBODY in self.publish or service in self.publish

    def lets_read(self, service: str) -> bool:
        """Tell whether a service may read here."""
        return EVERYBODY in self.read or service in self.read


@cache
def known() -> Mapping[str, Bus]:
    """Return all buses by name, as buses.toml has them. Raises BadBuses."""
    return parse(FILE.read_text())


def parse(text: str) -> Mapping[str, Bus]:
    """Read buses from TOML. Raises BadBuses."""
    try:
        found = msgspec.convert(_flat(tomllib.loads(text)), dict[str, Bus])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadBuses(str(error)) from error
    buses = {name: msgspec.structs.replace(bus, name=name) for name, bus in found.items()}
    _check(buses)
    return buses


def _flat(tables: Mapping[str, object], within: str = "") -> dict[str, object]:
    """Name the tables of TOML by their whole way: what stands under [partner.acme] is the bus partner.acme."""
    found: dict[str, object] = {}
    for name, table in tables.items():
        if isinstance(table, dict) and table and all(isinstance(inner, dict) for inner in table.values()):
            found |= _flat(table, f"{within}{name}.")
        else:
            found[f"{within}{name}"] = table
    return found


def _check(buses: Mapping[str, Bus]) -> None:
    if DEFAULT_BUS not in buses or buses[DEFAULT_BUS].topics != f"{EVERYBODY}{_SUFFIX}":
        raise BadBuses(
            f'there has to be a bus [{DEFAULT_BUS}] with topics = "{EVERYBODY}{_SUFFIX}": a topic per service'
        )
    owners: dict[str, str] = {}
    for name, bus in buses.items():
        if not _NAME.fullmatch(name):
            raise BadBuses(f"{name!r} is no name for a bus: small letters, digits, dots and hyphens are")
        if not _TOPIC.fullmatch(bus.topics):
            raise BadBuses(f"{name}.topics is {bus.topics!r}; a topic is called like {name}{_SUFFIX}")
        if bus.topics in owners:
            raise BadBuses(f"{name}.topics is {bus.topics!r}, which {owners[bus.topics]} has already")
        if (bus.topics.count(EVERYBODY) > 0) != (name == DEFAULT_BUS or bus.is_many):
            raise BadBuses(f"{name}.topics is {bus.topics!r}: with a star if the bus has one, and without if not")
        owners[bus.topics] = name


def find(name: str) -> Bus:
    """Return the bus of this name. Raises UnknownBus."""
    bus = _found(name)
    if bus is None:
        raise UnknownBus(name)
    return bus


def is_known(name: str) -> bool:
    """Tell whether there is a bus of this name."""
    return _found(name) is not None


def _found(name: str) -> Bus | None:
    bus = known().get(name)
    if bus and not bus.is_many:
        return bus
    return next(filter(None, (each.one(name) for each in known().values())), None)


def stem(topic: str) -> str:
    """Return a topic's name without what all end with."""
    return topic.removesuffix(_SUFFIX)


def topic_named(stem: str) -> str:
    """Return the topic of this stem."""
    return f"{stem}{_SUFFIX}"


def bus_of(topic: str) -> Bus | None:
    """Return the bus that a topic belongs to; None where it belongs to none."""
    buses = known().values()
    for bus in buses:
        if topic == bus.topics:
            return bus
    for bus in buses:
        if one := bus.one_with(topic):
            return one
    return known()[DEFAULT_BUS] if topic.endswith(_SUFFIX) else None


def many_with(topic: str) -> str:
    """Name what stands for all topics like this one: `partner.*.events`; the topic itself, where it is none of many."""
    return next((bus.topics for bus in known().values() if bus.one_with(topic)), topic)


def reads(topics: Collection[str], topic: str) -> bool:
    """Tell whether a topic is among these, of which some may stand for many."""
    return topic in topics or many_with(topic) in topics


def publishing(name: str, service: str) -> Bus:
    """Return the bus of this name, where this service may publish to it. Raises UnknownBus and NotAllowed."""
    bus = find(name)
    if not bus.lets_publish(service):
        raise NotAllowed(service, bus)
    return bus


def readable(service: str, services: Iterable[str]) -> list[str]:
    """Name all topics that a service may read where these are the services; what stands for many is one of them."""
    each = [bus for bus in known().values() if bus.lets_read(service)]
    return [topic for bus in each for topic in bus.topics_of(services) or [bus.topics]]


def longest_retention() -> timedelta:
    """Return how long the topics that keep their events longest do."""
    return max(bus.retention for bus in known().values())


def listed(services: Iterable[str]) -> str:
    """Say who may, in words."""
    some = tuple(services)
    return "every service" if EVERYBODY in some else ", ".join(some) or "nobody"
