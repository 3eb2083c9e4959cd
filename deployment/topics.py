"""Sets every topic's settings, also those of topics that an earlier release made."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError, for_code

from backbone.events.topics import RETENTION
from backbone.running.retry import RetryPolicy, repeat

_READ = Path(__file__).resolve().parents[1] / "schemas" / "consumers"
PARTITIONS = 12
"""Of every topic, for as long as it lives: a key's partition follows from their number."""
# A record's time is when it arrived: with its sender's, a broker refuses all of one whose clock is an hour ahead.
ARRIVAL = {"message.timestamp.type": "LogAppendTime"}

_HEARD_OF = RetryPolicy(first=timedelta(milliseconds=100), factor=1, within=timedelta(seconds=10))
"""How long a new topic is asked about: the controller makes it and answers before the broker asked has been told."""
_SET_FOR_THE_TOPIC = 1
"""The source of a value that was given to the topic itself (KIP-226)."""


def wanted(services: Iterable[str]) -> list[str]:
    """Name the topics that services write or read: who writes one may be left out, and its readers go on without."""
    return sorted({f"{name}.events" for service in services for name in (service, *_read_by(service))})


def _read_by(service: str) -> set[str]:
    return {file.name.partition(".")[0] for file in (_READ / service).glob("*.json")}


def settings(replication: int) -> dict[str, str]:
    """Return a new topic's settings; `replication` is how many brokers keep its records."""
    return {"retention.ms": str(RETENTION // timedelta(milliseconds=1)), **ARRIVAL, **durability(replication)}


def durability(replication: int) -> dict[str, str]:
    """Return the settings by which an acknowledged event outlasts a power cut, as the deletion of its outbox row does.

    Kafka itself never waits for the disk: it relies on other brokers. Two of three have an event before it is
    acknowledged; with fewer brokers than three it is on the disk of the one that acknowledges.
    """
    return {"min.insync.replicas": "2"} if replication >= 3 else {"flush.messages": "1"}


async def bring_up_to_date(admin: AIOKafkaAdminClient, topics: Iterable[str], replication: int) -> None:
    """Set on existing topics what makes events last and note their arrival; what else somebody has set stays."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(topics)]
    answers = await _described(admin, wanted) if wanted else []
    told = {topic: _own(entries) for answer in answers for _, _, _, topic, entries in answer.resources}
    due = {topic: {**durability(replication), **own, **ARRIVAL} for topic, own in told.items()}
    await configure(admin, {topic: due[topic] for topic in due if due[topic] != told[topic]})


async def configure(admin: AIOKafkaAdminClient, due: Mapping[str, dict[str, str]]) -> None:
    """Replace all settings of each topic by the given ones. Raises KafkaError."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic, told) for topic, told in due.items()]
    for answer in await admin.alter_configs(wanted) if wanted else []:
        _check(answer)


async def _described(admin: AIOKafkaAdminClient, wanted: list[ConfigResource]) -> list[Any]:
    async def describe() -> list[Any]:
        answers: list[Any] = await admin.describe_configs(wanted)
        for answer in answers:
            _check(answer)
        return answers

    return await repeat(describe, _HEARD_OF, lambda error: isinstance(error, UnknownTopicOrPartitionError))


def _own(entries: Iterable[tuple[Any, ...]]) -> dict[str, str]:
    return {name: value for name, value, _, source, *_ in entries if source == _SET_FOR_THE_TOPIC}


def _check(answer: Any) -> None:
    for code, message, _, topic, *_ in answer.resources:
        if code:
            raise for_code(code)(f"topic {topic}: {message}")
