"""Sets every topic's settings, also those of topics that an earlier release made."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError, for_code

from backbone.events import buses
from backbone.events.buses import Bus
from backbone.publishing.making import ARRIVAL, durability, kept
from backbone.running.retry import RetryPolicy, repeat

_READ = Path(__file__).resolve().parents[1] / "schemas" / "consumers"

_HEARD_OF = RetryPolicy(first=timedelta(milliseconds=100), factor=1, within=timedelta(seconds=10))
"""How long a new topic is asked about: the controller makes it and answers before the broker asked has been told."""
_SET_FOR_THE_TOPIC = 1
"""The source of a value that was given to the topic itself (KIP-226)."""


def every_topic(services: Iterable[str]) -> dict[str, Bus]:
    """Return the topics that there are to be from the start, with the bus of each: those that services write or read.

    Who writes one may be left out, and its readers go on without.
    """
    writers = list(dict.fromkeys(name for service in services for name in (service, *sorted(_read_by(service)))))
    return {topic: bus for bus in buses.known().values() for topic in bus.topics_of(writers)}


def unwritten(services: Collection[str]) -> list[str]:
    """Say of each topic that is read and that none of the services writes who goes on without."""
    readers: dict[str, list[str]] = {}
    for service in services:
        for writer in sorted(_read_by(service) - {*services}):
            readers.setdefault(writer, []).append(service)
    return [
        f"{', '.join(names)} will hear nothing from {writer}, which is not here: {writer}.events stays as it is."
        for writer, names in readers.items()
    ]


def _read_by(service: str) -> set[str]:
    return {file.name.partition(".")[0] for file in (_READ / service).glob("*.json")}


def made_since(existing: Iterable[str]) -> dict[str, Bus]:
    """Return those of the topics that there are that were made for their first event."""
    return {topic: bus for topic in existing if (bus := buses.bus_of(topic)) and bus.is_made_when_needed}


def ours(existing: Iterable[str], services: Iterable[str]) -> set[str]:
    """Return those of the topics that there are that belong to our buses, also those made for their first event."""
    there = set(existing)
    return there & {*every_topic(services), *made_since(there)}


async def bring_up_to_date(admin: AIOKafkaAdminClient, topics: Mapping[str, Bus], replication: int) -> None:
    """Set on existing topics how long events stay, what makes them last and notes their arrival.

    What else somebody has set stays.
    """
    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(topics)]
    answers = await _described(admin, wanted) if wanted else []
    told = {topic: _own(entries) for answer in answers for _, _, _, topic, entries in answer.resources}
    due = {topic: {**durability(replication), **own, **kept(topics[topic]), **ARRIVAL} for topic, own in told.items()}
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
