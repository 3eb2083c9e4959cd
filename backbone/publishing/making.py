"""Makes the topic of a bus that is made when something first goes there, and says how topics are kept."""

from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from backbone.events.buses import Bus
from backbone.observing.logs import logger
from backbone.values.brokers import Brokers

# A record's time is when it arrived: with its sender's, a broker refuses all of one whose clock is an hour ahead.
ARRIVAL = {"message.timestamp.type": "LogAppendTime"}


def settings(bus: Bus, replication: int) -> dict[str, str]:
    """Return the settings of a new topic of a bus; `replication` is how many brokers keep its records."""
    return {**kept(bus), **ARRIVAL, **durability(replication)}


def kept(bus: Bus) -> dict[str, str]:
    """Return the setting by which topics keep their events as long as the bus says."""
    return {"retention.ms": str(bus.retention // timedelta(milliseconds=1))}


def durability(replication: int) -> dict[str, str]:
    """Return the settings by which an acknowledged event outlasts a power cut, as the deletion of its outbox row does.

    Kafka itself never waits for the disk: it relies on other brokers. Two of three have an event before it is
    acknowledged; with fewer brokers than three it is on the disk of the one that acknowledges.
    """
    return {"min.insync.replicas": "2"} if replication >= 3 else {"flush.messages": "1"}


async def make(kafka: Brokers, topic: str, bus: Bus, like: str) -> None:
    """Make a topic unless it is there, on as many brokers as another one is. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**kafka.client(), client_id="sliceline-making", request_timeout_ms=10_000)
    try:
        await admin.start()
        described: dict[str, Any] = {each["topic"]: each for each in await admin.describe_topics([topic, like])}
        if not described[topic]["partitions"]:
            replication = len(described[like]["partitions"][0]["replicas"])
            await _create(admin, NewTopic(topic, bus.partitions, replication, topic_configs=settings(bus, replication)))
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    answer: Any = await admin.create_topics([topic])
    for name, code, message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another relay was faster
            raise error(f"topic {name}: {message}")
    logger.info("a topic was made for its first event", action="topic-made", topic=topic.name)
