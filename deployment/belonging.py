"""Compares tables with the topics beside them, and notices a database that was lost or is from an older backup.

Events that were handled once would be handled again by tables that know nothing of it: stock taken, points credited,
customers charged and mailed a second time. So it is refused, until somebody has chosen. A service that is new beside
old topics is no such case: it has never published anything, and Kafka knows of no place that it has read to.
"""

import asyncio
import importlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from backbone.consuming.broker import Log, survey
from backbone.consuming.handlers import topics_of
from backbone.consuming.sql import ANEW
from backbone.events import buses
from backbone.events.topics import PartitionId
from backbone.storage.statement import Statement, tuples
from backbone.storage.tables import consumer_offsets, sequences
from backbone.values.brokers import Brokers
from deployment import OLD_EVENTS, published
from deployment.published import Report
from deployment.topics import every_topic, made_since


class DoNotBelong(Exception):
    """Tables know less than the topics beside them."""

    def __init__(self, said: Iterable[str]) -> None:
        super().__init__(
            "tables are older than the topics beside them (a database was lost, or came back from a backup):\n"
            + "\n".join(f"  {each}" for each in said)
            + "\nReading old events again would do again what was done by them: take stock, credit points, charge, "
            f"mail.\nChoose, with ./sliceline up --old-events CHOICE, or {OLD_EVENTS}=CHOICE:\n"
            "  read   they read on from where their tables say: all that the topics still hold, if these are new\n"
            "  skip   they begin at the newest event, and never learn of the older ones\n"
            "         (./sliceline heal starts so, and feeds them what they missed from the archive)\n"
            "or begin anew with tables and topics: ./sliceline reset (containers: docker compose down --volumes).\n"
            "If nothing was lost, a tool has moved a group's offsets in Kafka (kafka-consumer-groups --reset-offsets): "
            "choose\nread. Kafka's offsets only follow the tables; ./sliceline reread is what moves a service's place."
        )


@dataclass(frozen=True)
class Kept:
    """Holds what Kafka has kept: logs, how far each service has read, and the newest sequences that each published."""

    logs: Mapping[PartitionId, Log]
    read_to: Mapping[str, Mapping[PartitionId, int]]
    sequences: Mapping[str, Mapping[str, int]]


async def kept_by(kafka: Brokers, admin: AIOKafkaAdminClient, services: Collection[str], report: Report) -> Kept | None:
    """Ask Kafka what it has kept; return None when its topics never held anything, as at the first start.

    Raises KafkaError.
    """
    topics = {*every_topic(services), *made_since(await admin.list_topics())}
    _, logs = await survey(admin._client, topics)
    if not any(log.end for log in logs.values()):
        return None
    read_to = await asyncio.gather(*(_read_to(admin, service) for service in services))
    newest = await published.newest(kafka, logs, report)
    return Kept(logs, dict(zip(services, read_to, strict=True)), newest)


async def settle(kept: Kept, kafka: Brokers, urls: Mapping[str, str], choice: str | None, report: Report) -> None:
    """Compare what Kafka has kept with each service's tables, and do as somebody has chosen where they do not belong.

    Doing so reads all that a service's topic holds; `report` gets a line now and then. Raises DoNotBelong where nobody
    has chosen, and KafkaError.
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
    """Say all in which a service's tables are older, for somebody to choose by; return None when nothing is."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        partitions, keys = await _unread(connection, kept, service), await _unpublished(connection, kept, service)
        if not partitions and not keys:
            return None
        state = "empty" if await ARE_EMPTY.fetchval(connection) else "not empty"
        return "; ".join([*_first(partitions, "partition"), *_first(keys, "key"), f"its tables are {state}"])
    finally:
        await connection.close()


ARE_EMPTY = Statement("SELECT NOT EXISTS (SELECT FROM consumer_offsets) AND NOT EXISTS (SELECT FROM sequences)")


def _first(said: Sequence[str], what: str) -> list[str]:
    """Return the first of several findings, with the number of the others."""
    more = len(said) - 1
    return [f"{said[0]} (and {more} more {what}{'' if more == 1 else 's'})"] if more > 0 else list(said)


async def _unread(connection: Any, kept: Kept, service: str) -> list[str]:
    """Say what a service has read by Kafka's account and not by its own, one sentence for each partition.

    Kafka is told after the tables, and never knows more. Only where tables have gone back on purpose does it; these
    tell how far they had been, or ask for the beginning.
    """
    rows = await _KNOWN.fetch(connection, consumer=service, anew=ANEW)
    known = {(row["topic"], row["partition"]): row["known"] for row in rows}
    older = {
        place: read_to
        for place, read_to in kept.read_to[service].items()
        if place in kept.logs and (at := known.get(place, 0)) is not None and _is_older(kept.logs[place], read_to, at)
    }
    return [
        f"it had read {topic}, partition {number}, to offset {read_to}; "
        f"its tables know of {known.get((topic, number), 'none')}"
        for (topic, number), read_to in older.items()
    ]


_KNOWN = Statement("""
SELECT topic, partition, CASE WHEN next_offset <> :anew THEN greatest(next_offset, reached_offset) END AS known
FROM consumer_offsets WHERE consumer = :consumer
""")


def _is_older(log: Log, read_to: int, known: int) -> bool:
    """Tell whether the log still holds what was read without these tables: nothing else can be handled twice."""
    return max(known, log.beginning) < min(read_to, log.end)


async def _unpublished(connection: Any, kept: Kept, service: str) -> list[str]:
    """Say what a service has published by its topic's account and not by its own, one sentence for each key.

    Numbers of events would be given twice.
    """
    newest = kept.sequences.get(service, {})
    rows = await _LAST.fetch(connection, keys=list(newest))
    known = {row["key"]: row["last"] for row in rows}
    return [
        f"its topic holds event {sequence} of {key}; its tables know of {known.get(key, 'none')}"
        for key, sequence in newest.items()
        if sequence > known.get(key, 0)
    ]


_LAST = Statement("SELECT key, last FROM sequences WHERE key = ANY(:keys::text[])")


async def _do_as_chosen(kept: Kept, service: str, url: str, numbers: Mapping[str, int], *, skipping: bool) -> None:
    """Count on from what the topic holds, skip what is there if so chosen, and note that nobody need be asked again."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await _COUNT_ON.execute(connection, known=numbers.items())
            if skipping:
                await skip(connection, kept, service)
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
ON CONFLICT (consumer, topic, partition) DO UPDATE
  SET :place.excluded, checked_offset = excluded.checked_offset, since_offset = NULL
""",
    place=tuples(*_PLACE, consumer_offsets.c.next_offset, consumer_offsets.c.log, consumer_offsets.c.leader_epoch),
)


async def skip(connection: Any, kept: Kept, service: str) -> None:
    """Have a service begin at the newest event of all topics that it reads."""
    handlers = importlib.import_module(f"services.{service}.service").SERVICE.handlers
    read = topics_of(handlers)
    rows = [(*at, log.end, log.id, log.epoch) for at, log in kept.logs.items() if buses.reads(read, at[0])]
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
