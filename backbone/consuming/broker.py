"""Asks Kafka about its logs: which one a topic is now, how far it reaches, and where an epoch of it ended.

Metadata from version 10 on carries a topic's id, and OffsetForLeaderEpoch (KIP-320) tells where a leader's time ended;
aiokafka speaks neither, so both requests are described here with its types (Apache Kafka's protocol guide). A topic
that is deleted and made again has the same name and another id.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

from backbone.events.topics import PartitionId
from backbone.running.retry import RetryPolicy, repeat

UNREADABLE = (UnicodeDecodeError, CorruptRecordException, UnsupportedCodecError)
"""How Kafka's client refuses a record: a header's name is no text, bytes were damaged, or their compression is new."""
_ASIDE = "aside"
"""The connection for these questions: on that for records each would be answered after the question for records."""
_LATEST, _EARLIEST = -1, -2
_AGAIN = RetryPolicy(first=timedelta(milliseconds=100), factor=1, attempts=30)
"""How long a partition that was just made, or changes its leader, is waited for."""


class _Uuid(AbstractType[UUID]):
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _TopicsResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error", Int16),
                ("name", CompactString()),
                ("id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TopicsRequestV12(RequestStruct):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TopicsResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("id", _Uuid), ("name", CompactString()), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicsRequest(Request[_TopicsRequestV12]):
    API_KEY = 3

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_TopicsRequestV12]) -> _TopicsRequestV12:
        return request_struct_class([(UUID(int=0), name, {}) for name in self._names], False, False, {})


class _EpochResponse(Response):
    API_KEY = 23
    API_VERSION = 2
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("error", Int16), ("partition", Int32), ("epoch", Int32), ("end", Int64))),
            ),
        ),
    )


class _EpochRequestV2(RequestStruct):
    API_KEY = 23
    API_VERSION = 2
    RESPONSE_TYPE = _EpochResponse
    SCHEMA = Schema(
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("current_epoch", Int32), ("epoch", Int32))),
            ),
        ),
    )


class _EpochRequest(Request[_EpochRequestV2]):
    API_KEY = 23

    def __init__(self, topics: list[tuple[str, list[tuple[int, int, int]]]]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_EpochRequestV2]) -> _EpochRequestV2:
        return request_struct_class(self._topics)


@dataclass(frozen=True)
class Topic:
    """Describes a topic as it is now: its id, and for each partition its leader and the leader's epoch."""

    id: UUID
    leaders: Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Log:
    """Describes one partition's log as it is now: offsets [beginning, end) can be read."""

    id: UUID
    epoch: int
    beginning: int
    end: int


async def survey(client: AIOKafkaClient, names: Collection[str]) -> tuple[dict[str, Topic], dict[PartitionId, Log]]:
    """Ask which of these topics there are, and how far their logs reach. Raises KafkaError.

    A partition that was just made, or changes its leader, is waited for, for some seconds.
    """

    async def ask() -> tuple[dict[str, Topic], dict[PartitionId, Log]]:
        topics = await topics_of(client, names)
        return topics, await logs_of(client, topics)

    return await repeat(ask, _AGAIN, lambda error: isinstance(error, KafkaError) and bool(error.retriable))


async def topics_of(client: AIOKafkaClient, names: Iterable[str]) -> dict[str, Topic]:
    """Ask Kafka which of these topics exist, with ids, leaders and epochs. Raises KafkaError."""
    response = await client.send(client.get_random_node(), _TopicsRequest(sorted(names)), group=_ASIDE)
    return {
        name: Topic(id_, {number: (leader, epoch) for _, number, leader, epoch, *_ in partitions})
        for error, name, id_, _, partitions, *_ in response.topics
        if not error
    }


async def logs_of(client: AIOKafkaClient, topics: Mapping[str, Topic]) -> dict[PartitionId, Log]:
    """Ask Kafka how far the log of every partition reaches. Raises KafkaError, also where a partition has no leader."""
    places = [(name, number) for name, topic in topics.items() for number in topic.leaders]
    beginnings, ends = await asyncio.gather(
        _offsets(client, topics, places, _EARLIEST), _offsets(client, topics, places, _LATEST)
    )
    return {
        place: Log(topics[place[0]].id, topics[place[0]].leaders[place[1]][1], beginnings[place], ends[place])
        for place in places
    }


async def epoch_ends(
    client: AIOKafkaClient, topics: Mapping[str, Topic], epochs: Mapping[PartitionId, int]
) -> dict[PartitionId, int]:
    """Ask Kafka at which offset these epochs ended; -1 where the log never had such an epoch. Raises KafkaError."""

    def request(places: list[PartitionId]) -> Request[Any]:
        return _EpochRequest(_by_topic(places, lambda place: (place[1], -1, epochs[place])))

    responses = await _ask_leaders(client, topics, epochs, request)
    return {(topic, number): end for topic, (_, number, _, end) in _sound(responses, error=0)}


async def _offsets(
    client: AIOKafkaClient, topics: Mapping[str, Topic], places: Iterable[PartitionId], which: int
) -> dict[PartitionId, int]:
    def request(places: list[PartitionId]) -> Request[Any]:
        return OffsetRequest(-1, 0, _by_topic(places, lambda place: (place[1], which)))

    responses = await _ask_leaders(client, topics, places, request)
    return {(topic, number): offset for topic, (number, _, _, offset) in _sound(responses, error=1)}


async def _ask_leaders(
    client: AIOKafkaClient,
    topics: Mapping[str, Topic],
    places: Iterable[PartitionId],
    request: Callable[[list[PartitionId]], Request[Any]],
) -> list[Any]:
    by_leader: dict[int, list[PartitionId]] = defaultdict(list)
    for place in places:
        by_leader[topics[place[0]].leaders[place[1]][0]].append(place)
    return await asyncio.gather(
        *(client.send(leader, request(theirs), group=_ASIDE) for leader, theirs in by_leader.items())
    )


def _by_topic(places: Iterable[PartitionId], entry: Callable[[PartitionId], Any]) -> list[tuple[str, list[Any]]]:
    entries: dict[str, list[Any]] = defaultdict(list)
    for place in places:
        entries[place[0]].append(entry(place))
    return list(entries.items())


def _sound(responses: Iterable[Any], error: int) -> Iterable[tuple[str, Any]]:
    """Yield what is said of each partition, with its topic; `error` is the position of the error code in it."""
    for response in responses:
        for topic, partitions in response.topics:
            for each in partitions:
                if each[error]:
                    raise for_code(each[error])(f"{topic}, partition {each[1 - error]}")
                yield topic, each
