"""All that the topics have carried in this run, read on from where the last reading ended."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from backbone.events.envelope import Envelope, Undecodable, from_record
from backbone.values.brokers import Brokers
from deployment.topics import every_topic
from services import CATALOGUE


@dataclass
class Journal:
    """`envelopes`: per topic and partition in their order, deliveries that came twice included."""

    kafka: Brokers
    envelopes: dict[TopicPartition, list[Envelope]] = field(default_factory=dict)
    undecodable: int = 0
    _read: dict[TopicPartition, int] = field(default_factory=dict)
    _consumer: AIOKafkaConsumer | None = None

    async def ends(self) -> dict[tuple[str, int], int]:
        """Where every partition ends now."""
        consumer = await self._started()
        ends = await consumer.end_offsets(everything())
        return {(each.topic, each.partition): end for each, end in ends.items()}

    async def read(self) -> None:
        """Read up to what are now the ends."""
        consumer = await self._opened()
        ends = await consumer.end_offsets(everything())
        while any(self._read.get(place, 0) < end for place, end in ends.items()):
            await self._read_some(consumer)

    async def close(self) -> None:
        """To be called before the event loop ends; what was read stays."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        try:
            await consumer.stop()
        except asyncio.CancelledError:  # of a fetch of its own, which it has just cancelled
            if (task := asyncio.current_task()) and task.cancelling():
                raise

    def events(self, key: str | None = None, event_type: str | None = None) -> list[Envelope]:
        """Each event once, those of a partition in their order; all, or those of a key or a type."""
        found = {each.id: each for each in self._all() if key in (None, each.partitionkey)}
        return [each for each in found.values() if event_type in (None, each.type)]

    def _all(self) -> Iterator[Envelope]:
        return (each for envelopes in self.envelopes.values() for each in envelopes)

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**self.kafka.client(), enable_auto_commit=False)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def _opened(self) -> AIOKafkaConsumer:
        """A consumer fetches what it is assigned, so it is so only once something is to be read."""
        consumer = await self._started()
        if not consumer.assignment():
            consumer.assign(everything())
            for place in everything():
                consumer.seek(place, self._read.get(place, 0))
        return consumer

    async def _read_some(self, consumer: AIOKafkaConsumer) -> None:
        for place, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                try:
                    envelope = from_record(record.key, record.value, record.headers)
                except Undecodable:
                    self.undecodable += 1
                else:
                    self.envelopes.setdefault(place, []).append(envelope)
                self._read[place] = record.offset + 1


def everything() -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic, bus in every_topic(CATALOGUE).items()
        for number in range(bus.partitions)
    ]
