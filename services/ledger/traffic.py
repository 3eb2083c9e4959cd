"""Asks every service what it has read until now, and how far it is behind."""

import asyncio
import re
from collections import Counter
from typing import Any, TypedDict

from services.ledger.asking import Services

_LAG = re.compile(r'^sliceline_consumer_lag\{topic="([^"]+)"\} (\S+)$', re.MULTILINE)
_NOT_MEANT = "ignored"
"""Counts records of types that nobody there listens to."""


class Traffic(TypedDict):
    """Holds what a service has read, by type, and how far it is behind, by topic."""

    read: dict[str, int]
    lag: dict[str, int]


async def traffic(services: Services) -> dict[str, Traffic | None]:
    """Return it for each service; None for one that does not answer."""
    counts, metrics = await asyncio.gather(services.get_each("/handled"), services.text_of_each("/metrics"))
    return {name: _traffic(counts[name], metrics[name]) for name in services.addresses}


def _traffic(handled: Any | None, metrics: str | None) -> Traffic | None:
    return None if handled is None or metrics is None else {"read": read(handled), "lag": lag(metrics)}


def read(handled: Any) -> dict[str, int]:
    """Count by type what a service read and listens to, from its /handled."""
    found: Counter[str] = Counter()
    for consumer in handled["consumers"]:
        for each in consumer["counts"]:
            found[each["type"]] += sum(
                number for what, number in each.items() if what not in ("topic", "partition", "type", _NOT_MEANT)
            )
    return {event_type: number for event_type, number in found.items() if number}


def lag(metrics: str) -> dict[str, int]:
    """Read from a service's metrics how many records of each topic it has still to read."""
    return {topic: int(float(number)) for topic, number in _LAG.findall(metrics)}
