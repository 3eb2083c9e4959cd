"""Works out how consumers do, from what services tell: how far each is behind, how fast it reads, and what."""

import math
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from backbone.events.envelope import name_without_version

_LAG = re.compile(r'^sliceline_consumer_lag(_seconds)?\{[^}]*topic="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)
WINDOW = 30.0
"""Seconds over which a rate is measured."""
FATES = ("applied", "ignored", "repeated", "parked", "held", "discarded")
Place = tuple[str, int]


class Behind(NamedTuple):
    """Says how far a consumer is behind in a topic; `seconds` is None where nobody measures that."""

    events: int
    seconds: float | None


def behind(metrics: str) -> dict[str, Behind]:
    """Read from a process's metrics how far it is behind, by topic."""
    events: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for in_seconds, topic, number in _LAG.findall(metrics):
        if in_seconds:
            seconds[topic] = max(seconds.get(topic, 0.0), float(number))
        else:
            events[topic] = int(float(number))
    return {topic: Behind(count, seconds.get(topic)) for topic, count in events.items()}


def whole(topics: Iterable[Behind]) -> Behind | None:
    """Sum up the lag of several topics; None where there is none."""
    found = list(topics)
    if not found:
        return None
    known = [each.seconds for each in found if each.seconds is not None]
    return Behind(sum(each.events for each in found), max(known, default=None))


def catching_up(lag: Behind | None, rate: float | None) -> float | None:
    """Return in how many seconds a consumer is level at this rate; None where nobody can tell."""
    if lag is None or rate is None:
        return None
    if not lag.events:
        return 0.0
    return lag.events / rate if rate > 0 else math.inf


def read_so_far(handled: Mapping[str, Any]) -> int:
    """Count the records that a service is past."""
    return sum(max(0, place["next_offset"]) for each in handled["consumers"] for place in each["places"])


def partitions(handled: Mapping[str, Any]) -> int:
    """Count the partitions that a service reads."""
    return sum(len(each["places"]) for each in handled["consumers"])


def places(handled: Mapping[str, Any]) -> dict[Place, int]:
    """Return the offsets at which a service goes on."""
    found: dict[Place, int] = {}
    for each in handled["consumers"]:
        for place in each["places"]:
            found[place["topic"], place["partition"]] = place["next_offset"]
    return found


def by_type(handled: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """Count what became of the records that a service has read, by their type, version and all."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for each in handled["consumers"]:
        for count in each["counts"]:
            found[count["type"]].update({fate: count[fate] for fate in FATES})
    return dict(sorted(found.items()))


def versions(handled: Mapping[str, Any]) -> dict[str, list[str]]:
    """Name the versions that a service has had an effect from, by the event's name without version."""
    found: dict[str, list[str]] = defaultdict(list)
    for event_type, counts in by_type(handled).items():
        if event_type and any(counts[fate] for fate in FATES if fate != "ignored"):
            found[name_without_version(event_type)].append(event_type.rpartition(".")[2])
    return dict(found)


class Rates:
    """Measures how fast consumers read, from what each look finds; nothing is kept but the last half minute."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def tell(self, name: str, read: int, at: float) -> float | None:
        """Take in how far a consumer is, and return how many records a second it reads; None at the first look."""
        seen = self._seen.setdefault(name, deque())
        if seen and read < seen[-1][1]:  # its topics were made anew, or are read again
            seen.clear()
        while seen and at - seen[0][0] > self._window:
            seen.popleft()
        seen.append((at, read))
        began, first = seen[0]
        return (read - first) / (at - began) if at - began >= 1 else None
