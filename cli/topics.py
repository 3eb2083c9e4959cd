"""What every topic's settings are, also those of topics that an earlier release made."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

RETENTION_MS = 7 * 24 * 60 * 60 * 1000
# A record's time is when it arrived: with its sender's, a broker refuses all of one whose clock is an hour ahead.
ARRIVAL = {"message.timestamp.type": "LogAppendTime"}
SETTINGS = {"retention.ms": str(RETENTION_MS), **ARRIVAL}

_SET_FOR_THE_TOPIC = 1
"""The source of a value that was given to the topic itself (KIP-226)."""


async def bring_up_to_date(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> None:
    """Have topics that exist note arrival as well; what else somebody has set for them stays."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(topics)]
    answers: list[Any] = await admin.describe_configs(wanted) if wanted else []
    for answer in answers:
        _check(answer)
    outdated = [
        ConfigResource(ConfigResourceType.TOPIC, topic, {**_own(entries), **ARRIVAL})
        for answer in answers
        for _, _, _, topic, entries in answer.resources
        if not ARRIVAL.items() <= _own(entries).items()
    ]
    for answer in await admin.alter_configs(outdated) if outdated else []:
        _check(answer)


def _own(entries: Iterable[tuple[Any, ...]]) -> Mapping[str, str]:
    return {name: value for name, value, _, source, *_ in entries if source == _SET_FOR_THE_TOPIC}


def _check(answer: Any) -> None:
    for code, message, _, topic, *_ in answer.resources:
        if code:
            raise for_code(code)(f"topic {topic}: {message}")
