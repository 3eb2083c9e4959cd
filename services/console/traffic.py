"""Knows what goes through the topics now: what came in the last minute, and how far each reader is behind."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from services.console.asking import Ask


class Lately(msgspec.Struct, frozen=True):
    """Counts the events of a type that came in a topic in the last minute."""

    topic: str
    type: str
    events: int
    last_at: str


class Reading(msgspec.Struct, frozen=True):
    """Says what a service has read until now, by type, and how far it is behind, by topic."""

    read: Mapping[str, int]
    lag: Mapping[str, int]


class Traffic(msgspec.Struct, frozen=True):
    """Holds what came lately, and how far the services are; None of one that did not answer."""

    lately: tuple[Lately, ...]
    services: Mapping[str, Reading | None]

    @property
    def reading(self) -> Mapping[str, Reading]:
        """The services that have answered and read something."""
        return {name: each for name, each in self.services.items() if each and each.lag}

    @property
    def silent(self) -> list[str]:
        """The services that did not answer."""
        return [name for name, each in self.services.items() if each is None]

    @property
    def topics(self) -> list[str]:
        """All topics that somebody reads, or in which something came."""
        return sorted({each.topic for each in self.lately}.union(*(each.lag for each in self.reading.values())))

    def readers(self, topic: str) -> Mapping[str, int]:
        """Return how far each reader of a topic is behind."""
        return {name: each.lag[topic] for name, each in self.reading.items() if topic in each.lag}

    def seen_reading(self, event_type: str) -> list[str]:
        """Name the services that have read events of a type."""
        return [name for name, each in self.reading.items() if each.read.get(event_type)]

    def kinds(self, topic: str) -> Mapping[str, Lately]:
        """Return what came lately in a topic, by type."""
        return {each.type: each for each in self.lately if each.topic == topic}

    def count(self, topic: str) -> int:
        """Count what came lately in a topic."""
        return sum(each.events for each in self.kinds(topic).values())

    def count_of(self, event_type: str) -> int:
        """Count the events of a type that came lately."""
        return sum(each.events for each in self.lately if each.type == event_type)

    def last(self, topic: str) -> str | None:
        """Return when the last event came in a topic, if that was lately."""
        return max((each.last_at for each in self.kinds(topic).values()), default=None)


async def traffic_of(ask: Ask) -> Traffic:
    """Ask the ledger for it. Raises Refused."""
    rates, live = await asyncio.gather(
        ask.get("ledger", "/rates", seconds=60), ask.get("ledger", "/catalogue/live", last=True)
    )
    return read(rates, live)


def read(rates: Any, live: Any) -> Traffic:
    """Read what the ledger tells."""
    return Traffic(
        tuple(msgspec.convert(rates["items"], list[Lately])),
        msgspec.convert(live["services"], dict[str, Reading | None]),
    )
