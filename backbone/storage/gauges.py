"""Writes the backlog as gauges, read from the tables at each scrape: the same in every replica and after a restart."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backbone.storage.backlog import MOST, Backlog, Jobs, needs
from backbone.storage.database import Database

_UP_TO = f", counted up to {MOST}"

Number = Callable[[Backlog], float]
NumberOfKind = Callable[[Jobs, datetime], float]

OF_EVENTS: dict[str, tuple[str, Number]] = {
    "outbox_events": (f"Events not published yet{_UP_TO}", lambda now: now.outbox.waiting),
    "outbox_oldest_seconds": ("How long the oldest of them waits", lambda now: _age(now.outbox.since, now.at)),
    "refused_events": (f"Events that Kafka refuses, or behind such{_UP_TO}", lambda now: now.outbox.refused),
    "dead_letters": (f"Events parked now{_UP_TO}", lambda now: now.parked.events),
    "dead_letters_oldest_seconds": ("How long the oldest is parked", lambda now: _age(now.parked.since, now.at)),
    "backlog_needs": ("What needs a person: sentences of /backlog", lambda now: len(needs(now))),
    "pauses": ("What somebody has paused: the consumer, keys, kinds of job", lambda now: len(now.pauses)),
    "parked_keys": (f"Keys closed now{_UP_TO}", lambda now: now.parked.keys),
}
OF_JOBS: dict[str, tuple[str, NumberOfKind]] = {
    "jobs_due": (f"Jobs due and not taken yet{_UP_TO}", lambda jobs, _: jobs.due),
    "jobs_due_oldest_seconds": ("How long the oldest of them is due", lambda jobs, at: _age(jobs.due_since, at)),
    "jobs_in_hand": ("Jobs that a worker has", lambda jobs, _: jobs.in_hand),
    "jobs_failing": (f"Jobs that failed and are tried again{_UP_TO}", lambda jobs, _: jobs.failing),
    "jobs_failing_oldest_seconds": ("How long the oldest fails", lambda jobs, at: _age(jobs.failing_since, at)),
    "jobs_resting": ("1 while they rest because what they call is away", lambda jobs, _: jobs.rests_since is not None),
    "jobs_parked": (f"Jobs given up{_UP_TO}", lambda jobs, _: jobs.given_up),
}


@dataclass(frozen=True)
class Told:
    """Describes a gauge of a service's own, read from its tables at each scrape: a number for each value of `label`."""

    name: str
    about: str
    label: str
    read: Callable[[Database], Awaitable[Mapping[str, float]]]


_NONE: Mapping[Told, Mapping[str, float]] = {}


class Gauges(Collector):
    """Collects the gauges of a service's tables, as they were read for one scrape."""

    def __init__(
        self, backlog: Backlog | None, kinds: Iterable[str], own: Mapping[Told, Mapping[str, float]] = _NONE
    ) -> None:
        """A kind of job without jobs is there with zeros."""
        self._backlog = backlog
        self._kinds = kinds
        self._own = own

    def collect(self) -> Iterator[Metric]:
        """Yield all gauges; without a backlog only the one that says so."""
        read = _gauge("backlog_read", "1 when the tables could be read for this scrape")
        read.add_metric([], self._backlog is not None)
        yield read
        if self._backlog is not None:
            yield from _of_events(self._backlog)
            yield from _of_jobs(self._backlog, self._kinds)
        for told, numbers in self._own.items():
            gauge = _gauge(told.name, told.about, labels=(told.label,))
            for value, number in numbers.items():
                gauge.add_metric([value], number)
            yield gauge


def _of_events(backlog: Backlog) -> Iterator[Metric]:
    for name, (about, number) in OF_EVENTS.items():
        gauge = _gauge(name, about)
        gauge.add_metric([], number(backlog))
        yield gauge


def _of_jobs(backlog: Backlog, kinds: Iterable[str]) -> Iterator[Metric]:
    jobs = {kind: Jobs(kind) for kind in kinds} | {each.kind: each for each in backlog.jobs}
    for name, (about, number) in OF_JOBS.items():
        gauge = _gauge(name, about, labels=("kind",))
        for kind, each in jobs.items():
            gauge.add_metric([kind], number(each, backlog.at))
        yield gauge


def _gauge(name: str, about: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sliceline_{name}", about, labels=labels)


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
