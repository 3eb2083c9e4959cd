"""Reads from topics which events their services have published: the highest sequence of each key.

Anybody can write to a topic. Only what decodes as an event, and names as its source a service that may publish there,
is counted: a number that we never gave must neither keep a shop from starting nor be counted on from.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from backbone.consuming.broker import UNREADABLE, Log
from backbone.events import buses
from backbone.events.envelope import Undecodable, from_record
from backbone.events.topics import PartitionId
from backbone.storage.outbox import counter
from backbone.values.brokers import Brokers

Report = Callable[[str], None]
Numbers = dict[str, int]
"""The highest sequence of each key, by the name under which the service counts it on that bus."""
Counter = tuple[str, str]
"""A service, and the name under which it counts the events of a key."""
Found = dict[Counter, int]

PATIENCE = 60.0
"""Seconds for which Kafka may bring nothing; how much there is to read does not matter."""
TELL_EVERY = 2.0
TAIL = 300
"""Records at the end of a partition among which one of ours is looked for, where the newest is not ours.

Strays come singly. Where hundreds lie in a row the partition tells nothing; but each service has twelve to tell of it,
and Kafka's own account of what was read is compared as well.
"""


async def newest(kafka: Brokers, logs: Mapping[PartitionId, Log], report: Report) -> dict[str, Numbers]:
    """Read the newest events in each partition that are its service's own; by service. Raises KafkaError."""
    found = await _read(kafka, logs, {place: log.end - 1 for place, log in logs.items()}, report)
    silent = {place: log.end - TAIL for place, log in logs.items() if not found.get(place)}
    return _by_service(found | await _read(kafka, logs, silent, report))


async def all_of(kafka: Brokers, service: str, logs: Mapping[PartitionId, Log], report: Report) -> Numbers:
    """Read all that a service's topic holds. Raises KafkaError."""
    own = {place: log.beginning for place, log in logs.items() if _is_written_by(service, place[0])}
    return _by_service(await _read(kafka, logs, own, report)).get(service, {})


def _by_service(found: Mapping[PartitionId, Found]) -> dict[str, Numbers]:
    merged: dict[str, Numbers] = {}
    for highest in found.values():
        for (service, name), sequence in highest.items():
            known = merged.setdefault(service, {})
            known[name] = max(known.get(name, 0), sequence)
    return merged


def _raise_to(highest: Found, found: Iterable[tuple[Counter, int]]) -> None:
    for each, sequence in found:
        highest[each] = max(highest.get(each, 0), sequence)


def _is_written_by(service: str, topic: str) -> bool:
    bus = buses.bus_of(topic)
    return bus is not None and bus.lets_publish(service) and bus.topic(service) == topic


async def _read(
    kafka: Brokers, logs: Mapping[PartitionId, Log], starts: Mapping[PartitionId, int], report: Report
) -> dict[PartitionId, Found]:
    """Read from these offsets, or the beginnings that lie behind them, to the ends of the logs."""
    spans = [_span(place, at, logs[place]) for place, at in starts.items()]
    full = [span for span in spans if span.next < span.end]
    if full:
        client = AIOKafkaConsumer(**kafka.client(), enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await client.start()
            await _Reading(client, full, report).run()
        finally:
            await client.stop()
    return {(span.at.topic, span.at.partition): span.highest for span in full}


@dataclass
class _Span:
    """Holds a part of a partition: from where on and up to where it is to be read, and what was found in it."""

    at: TopicPartition
    next: int
    end: int
    highest: Found = field(default_factory=dict)
    one_by_one: bool = False
    """Whether its records are read one by one, since one ahead cannot be read."""
    passed: bool = False
    """Whether that record was stepped past."""

    @property
    def left(self) -> int:
        """Count the offsets that are still to be read."""
        return max(0, self.end - self.next)


def _span(place: PartitionId, start: int, log: Log) -> _Span:
    return _Span(TopicPartition(*place), max(start, log.beginning), log.end)


class _Reading:
    """Reads spans to their ends, past whatever Kafka's client cannot take apart."""

    def __init__(self, client: AIOKafkaConsumer, spans: list[_Span], report: Report) -> None:
        self._client = client
        self._spans = spans
        self._report = report
        self._total = self._left = sum(span.left for span in spans)
        self._moved = self._told = time.monotonic()

    async def run(self) -> None:
        """Read all spans. Raises KafkaError, also where Kafka brings nothing for long."""
        self._client.assign([span.at for span in self._spans])
        for span in self._spans:
            self._client.seek(span.at, span.next)
        while behind := [span for span in self._spans if span.left]:
            for span in behind:
                await self._read_on(span)
            self._look_at_the_time(behind[0])

    async def _read_on(self, span: _Span) -> None:
        """Poll one partition alone: an error does not name its partition, and what came of others would be lost."""
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._client.getmany(span.at, timeout_ms=200, max_records=1 if span.one_by_one else None)
                position = await self._client.position(span.at)
        except UNREADABLE:
            self._step(span)
        except TimeoutError:
            raise _stalled(span) from None
        else:
            self._take(span, found.get(span.at, ()), position)

    def _step(self, span: _Span) -> None:
        """Read one by one up to the unreadable record, which the error does not name, and leave that one out."""
        if span.one_by_one:
            span.next += 1
            span.passed = True
        span.one_by_one = True
        self._client.seek(span.at, span.next)

    def _take(self, span: _Span, records: Sequence[Any], position: int) -> None:
        _raise_to(span.highest, filter(None, map(_own, records)))
        span.next = position
        if records and span.passed:
            span.one_by_one = span.passed = False
        if not span.left:
            self._client.pause(span.at)  # else a fetch for it alone waits for news while others are to be sought

    def _look_at_the_time(self, span: _Span) -> None:
        now, left = time.monotonic(), sum(each.left for each in self._spans)
        if left < self._left:
            self._left, self._moved = left, now
        elif now - self._moved > PATIENCE:
            raise _stalled(span)
        if now - self._told > TELL_EVERY:
            self._told = now
            self._report(f"{self._total - left} of {self._total} old events looked at, in {span.at.topic}")


def _stalled(span: _Span) -> KafkaTimeoutError:
    return KafkaTimeoutError(
        f"{span.at.topic}, partition {span.at.partition}: nothing came for {PATIENCE:.0f} s at offset {span.next} "
        f"of {span.end}"
    )


def _own(record: Any) -> tuple[Counter, int] | None:
    """Return whose counter an event of ours comes from, and its sequence; None for all else."""
    try:
        envelope = from_record(record.key, record.value, record.headers)
    except Undecodable:
        return None
    bus, service = buses.bus_of(record.topic), envelope.source.removeprefix("/sliceline/")
    if bus is None or service == envelope.source or not _is_written_by(service, record.topic):
        return None
    return (service, counter(bus.name, envelope.partitionkey)), envelope.sequence
