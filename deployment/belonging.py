"""Whether tables and topics belong together: a database that was lost, or came back from an older backup, is noticed.

Events that were handled once would be handled again by tables that know nothing of it: stock taken, points credited,
customers charged and mailed a second time. So it is refused, until somebody has chosen. A service that is new beside
old topics is no such case: it has never published anything, and Kafka knows of no place that it has read to.
"""

import asyncio
import importlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from backbone.consuming.broker import Log, survey
from backbone.consuming.sql import ANEW
from backbone.events.envelope import topic_of
from backbone.events.topics import PartitionId
from backbone.storage.statement import Statement, tuples
from backbone.storage.tables import consumer_offsets, sequences
from deployment import OLD_EVENTS, published
from deployment.published import Report


class DoNotBelong(Exception):
    """Tables are older than the topics beside them."""

    def __init__(self, said: Iterable[str]) -> None:
        super().__init__(
            "tables are older than the topics beside them (a database was lost, or came back from a backup):\n"
            + "\n".join(f"  {each}" for each in said)
            + "\nReading old events again would do again what was done by them: take stock, credit points, charge, "
            f"mail.\nChoose, with ./sliceline up --old-events CHOICE, or {OLD_EVENTS}=CHOICE:\n"
            "  read   they read on from where their tables say: all that the topics still hold, if these are new\n"
            "  skip   they begin at the newest event, and never learn of the older ones\n"
            "or begin anew with tables and topics: ./sliceline reset (containers: docker compose down --volumes).\n"
            "If nothing was lost, a tool has moved a group's offsets in Kafka (kafka-consumer-groups --reset-offsets): "
            "choose\nread. Kafka's offsets only follow the tables; ./sliceline reread is what moves a service's place."
        )


@dataclass(frozen=True)
class Kept:
    """What Kafka has kept: the logs, how far each service has read, and the newest sequences that each published."""

    logs: Mapping[PartitionId, Log]
    read_to: Mapping[str, Mapping[PartitionId, int]]
    sequences: Mapping[str, Mapping[str, int]]


async def kept_by(kafka: str, admin: AIOKafkaAdminClient, services: Collection[str], report: Report) -> Kept | None:
    """Ask Kafka; None when its topics have never held anything, as at the first start. Raises KafkaError."""
    _, logs = await survey(admin._client, [f"{service}.events" for service in services])
    if not any(log.end for log in logs.values()):
        return None
    read_to = await asyncio.gather(*(_read_to(admin, service) for service in services))
    newest = await published.newest(kafka, logs, report)
    return Kept(logs, dict(zip(services, read_to, strict=True)), newest)


async def settle(kept: Kept, kafka: str, urls: Mapping[str, str], choice: str | None, report: Report) -> None:
    """Compare with each service's tables. Raises DoNotBelong unless somebody has chosen; then does as chosen.

    Doing so reads all that a service's topic holds; `report` gets a line now and then. Raises KafkaError.
    """
    found = await asyncio.gather(*(_mismatch(kept, *each) for each in urls.items()))
    said = {service: words for service, words in zip(urls, found, strict=True) if words}
    if said and choice is None:
        raise DoNotBelong(f"{service}: {words}" for service, words in said.items())
    for service in said:
        numbers = await published.all_of(kafka, service, kept.logs, report)
        await _do_as_chosen(kept, service, urls[service], numbers, skipping=choice == "skip")


async def _read_to(admin: AIOKafkaAdminClient, service: str) -> dict[PartitionId, int]:
    committed = await admin.list_consumer_group_offsets(service)
    return {(at.topic, at.partition): told.offset for at, told in committed.items()}


async def _mismatch(kept: Kept, service: str, url: str) -> str | None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await _unread(connection, kept, service) or await _unpublished(connection, kept, service)
    finally:
        await connection.close()


async def _unread(connection: Any, kept: Kept, service: str) -> str | None:
    """What it has read by Kafka's account and not by its own: Kafka is told after the tables, and never knows more.

    Only where tables have gone back on purpose does it; these tell how far they had been, or ask for the beginning.
    """
    rows = await _KNOWN.fetch(connection, consumer=service, anew=ANEW)
    known = {(row["topic"], row["partition"]): row["known"] for row in rows}
    for place, read_to in kept.read_to[service].items():
        known_to = known.get(place, 0)
        if place in kept.logs and known_to is not None and _is_older(kept.logs[place], read_to, known_to):
            said = f"it had read {place[0]}, partition {place[1]}, to offset {read_to}"
            return f"{said}; its tables know of {known.get(place, 'none')}"
    return None


_KNOWN = Statement("""
SELECT topic, partition, CASE WHEN next_offset <> :anew THEN greatest(next_offset, reached_offset) END AS known
FROM consumer_offsets WHERE consumer = :consumer
""")


def _is_older(log: Log, read_to: int, known: int) -> bool:
    """Whether the log still holds what was read without these tables: nothing else can be handled a second time."""
    return max(known, log.beginning) < min(read_to, log.end)


async def _unpublished(connection: Any, kept: Kept, service: str) -> str | None:
    """What it has published by its topic's account and not by its own: numbers of events would be given twice."""
    newest = kept.sequences.get(service, {})
    rows = await _LAST.fetch(connection, keys=list(newest))
    known = {row["key"]: row["last"] for row in rows}
    key = next((key for key, sequence in newest.items() if sequence > known.get(key, 0)), None)
    if key is None:
        return None
    return f"its topic holds event {newest[key]} of {key}; its tables know of {known.get(key, 'none')}"


_LAST = Statement("SELECT key, last FROM sequences WHERE key = ANY(:keys::text[])")


async def _do_as_chosen(kept: Kept, service: str, url: str, numbers: Mapping[str, int], *, skipping: bool) -> None:
    """Count on from what the topic holds, skip what is there if so chosen, and note that nobody need be asked again."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await _COUNT_ON.execute(connection, known=numbers.items())
            if skipping:
                await _skip(connection, kept, service)
            await _accept(connection, kept, service)
    finally:
        await connection.close()


_COUNT_ON = Statement(
    """
INSERT INTO sequences AS s (:known.columns) SELECT :known.* FROM :known
ON CONFLICT (key) DO UPDATE SET last = greatest(s.last, excluded.last)
""",
    known=tuples(sequences.c.key, sequences.c.last),
)

_PLACE = (consumer_offsets.c.topic, consumer_offsets.c.partition)

_SKIP = Statement(
    """
INSERT INTO consumer_offsets (consumer, :place.columns, checked_offset)
SELECT :consumer, :place.*, next_offset FROM :place
ON CONFLICT (consumer, topic, partition) DO UPDATE SET :place.excluded, checked_offset = excluded.checked_offset
""",
    place=tuples(*_PLACE, consumer_offsets.c.next_offset, consumer_offsets.c.log, consumer_offsets.c.leader_epoch),
)


async def _skip(connection: Any, kept: Kept, service: str) -> None:
    handlers = importlib.import_module(f"services.{service}.service").SERVICE.handlers
    topics = {topic_of(view.TYPE) for view in handlers}
    rows = [(*place, log.end, log.id, log.epoch) for place, log in kept.logs.items() if place[0] in topics]
    if rows:
        await _SKIP.execute(connection, consumer=service, place=rows)


# Until they have read as far again, or Kafka is told where they are, they would look as old as before.
_ACCEPT = Statement(
    """
INSERT INTO consumer_offsets AS o (consumer, next_offset, :place.columns)
SELECT :consumer, :anew, :place.* FROM :place
ON CONFLICT (consumer, topic, partition) DO UPDATE
  SET reached_offset = greatest(o.reached_offset, excluded.reached_offset)
""",
    place=tuples(*_PLACE, consumer_offsets.c.reached_offset),
)


async def _accept(connection: Any, kept: Kept, service: str) -> None:
    rows = [(*place, read_to) for place, read_to in kept.read_to[service].items() if place in kept.logs]
    if rows:
        await _ACCEPT.execute(connection, consumer=service, anew=ANEW, place=rows)
