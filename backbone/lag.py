"""How far a consumer is behind, and whether its Kafka client hangs: it does not know that it does."""

import asyncio
import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from backbone import metrics
from backbone.batch import Place

_LOOK_EVERY = 5.0


class Hung(KafkaError):
    """There is something to read, but the client brings nothing (seen after broker restarts)."""


class LagWatch:
    """Compares where we are with the topics' real ends, every five seconds."""

    LONGEST = 20.0
    """Seconds that a look takes at most."""

    def __init__(self, stuck_after: float) -> None:
        self._stuck_after = stuck_after
        self._next = 0.0
        self._seen: dict[Place, int] = {}
        self._moved = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for the next look."""
        return time.monotonic() >= self._next

    async def look(self, client: AIOKafkaConsumer, positions: Mapping[Place, int]) -> None:
        """Publish every topic's lag. Raises Hung when nothing has come for long although there is some."""
        self._next = time.monotonic() + _LOOK_EVERY
        async with asyncio.timeout(self.LONGEST):
            ends = await client.end_offsets([TopicPartition(*place) for place in positions])
        lag: dict[str, int] = {}
        for place, position in positions.items():
            lag[place[0]] = lag.get(place[0], 0) + max(0, ends[TopicPartition(*place)] - position)
        for topic, behind in lag.items():
            metrics.LAG.labels(topic).set(behind)
        if not any(lag.values()) or self._seen != positions:
            self._moved = time.monotonic()
        self._seen = dict(positions)
        if time.monotonic() - self._moved > self._stuck_after:
            raise Hung(f"{sum(lag.values())} records waiting, none arrived for {self._stuck_after:.0f} s")
