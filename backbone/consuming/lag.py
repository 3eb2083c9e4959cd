"""Tells how far a service is behind, whether its places still fit its topics, and whether its Kafka client hangs."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from backbone.consuming.ages import Ages
from backbone.consuming.places import MORE_PARTITIONS, Break, Now, Places
from backbone.events.topics import PartitionId
from backbone.observing import metrics

_UNKNOWN: Mapping[PartitionId, datetime] = {}


class Hung(KafkaError):
    """Records wait, but the client brings none (seen after broker restarts)."""


@dataclass(frozen=True)
class Seen:
    """Holds what a look found: partitions whose stored place does not fit, and topics that do not exist.

    `waiting` tells by topic for how long at most its oldest unread record has been there.
    """

    out_of_step: list[PartitionId]
    missing: list[str]
    waiting: Mapping[str, timedelta]


class LagWatch:
    """Compares the stored places of all partitions, held or not, with the topics there are, every five seconds."""

    EVERY = timedelta(seconds=5)
    LONGEST = 20.0
    """Seconds that a look takes at most."""

    def __init__(self, places: Places, topics: list[str], stuck_after: float) -> None:
        self._places = places
        self._topics = topics
        self._stuck_after = stuck_after
        self._next = 0.0
        self._seen: dict[PartitionId, int] = {}
        self._counts: dict[str, tuple[UUID, int]] = {}
        self._moved = time.monotonic()
        self._ages = Ages()

    def is_due(self) -> bool:
        """Tell whether it is time for the next look."""
        return self.due_in() <= 0

    def due_in(self) -> float:
        """Return the seconds until the next look; 0 when it is time."""
        return max(0.0, self._next - time.monotonic())

    async def look(
        self,
        client: AIOKafkaClient,
        positions: Mapping[PartitionId, int],
        read: Mapping[PartitionId, datetime] = _UNKNOWN,
        *,
        is_paused: bool = False,
    ) -> Seen:
        """Publish every topic's lag. Raises Hung when nothing has come for long although there is some.

        `read` tells when Kafka took the last records that were read. Where the consumer `is_paused` nothing is to come.
        """
        self._next = time.monotonic() + self.EVERY.total_seconds()
        held = dict(positions)
        async with asyncio.timeout(self.LONGEST):
            now = await self._places.look(client, self._topics)
        self._tell_lag(now)
        fitting = {place: offset for place, offset in held.items() if _fits(now, place, offset)}
        await self._places.checked(now, fitting)
        await self._count_partitions(now)
        self._notice_hanging(now, {} if is_paused else fitting)
        missing = sorted(set(self._topics) - set(now.topics))
        return Seen(sorted(held.keys() - fitting), missing, self._ages_of(now, read))

    def _tell_lag(self, now: Now) -> None:
        lag: Counter[str] = Counter(dict.fromkeys(now.topics, 0))
        for place, log in now.logs.items():
            lag[place[0]] += log.end - max(log.beginning, min(log.end, now.goes_on(place)[0]))
        for topic, behind in lag.items():
            metrics.LAG.labels(topic).set(behind)
        for topic in set(self._topics) - set(now.topics):  # nobody is behind a topic that there is not
            metrics.LAG.remove(topic)

    def _ages_of(self, now: Now, read: Mapping[PartitionId, datetime]) -> dict[str, timedelta]:
        """Tell of each topic how long something has waited in the partition in which that is longest."""
        at, longest = self._places.now(), dict.fromkeys(now.topics, timedelta(0))
        for place, log in now.logs.items():
            position = max(log.beginning, now.goes_on(place)[0])
            age = self._ages.look(place, position, log.end, at, read.get(place))
            longest[place[0]] = max(longest[place[0]], age)
        self._ages.forget_others(now.logs)
        return longest

    async def _count_partitions(self, now: Now) -> None:
        """Report a topic whose number of partitions grew: keys move to other partitions and lose their order."""
        for name, topic in now.topics.items():
            count = len(topic.leaders)
            log, before = self._counts.get(name, (topic.id, count))
            if log == topic.id and count > before:
                said = f"{name} got {count} partitions instead of {before} under way: keys move, and with them order"
                await self._places.say(Break((name, before), MORE_PARTITIONS, said))
            self._counts[name] = (topic.id, count)

    def _notice_hanging(self, now: Now, held: Mapping[PartitionId, int]) -> None:
        behind = sum(now.logs[place].end - position for place, position in held.items())
        if not behind or self._seen != held:
            self._moved = time.monotonic()
        self._seen = dict(held)
        if time.monotonic() - self._moved > self._stuck_after:
            raise Hung(f"{behind} records waiting, none arrived for {self._stuck_after:.0f} s")


def _fits(now: Now, place: PartitionId, position: int) -> bool:
    """Tell whether a position is the stored offset and still fits the log; one that is not stored yet does not."""
    stored = now.stored.get(place)
    if stored is None or stored.log is None or stored.next != position or place not in now.logs:
        return False
    return now.goes_on(place) == (position, None)
