"""Decides where a reader goes on: holds its stored places against the logs that Kafka has now.

An offset means something in one log only. So the stored place knows the log it belongs to (the topic's id), and up to
where that log was found to be the same (a leader's epoch). Where the place does not fit, it is said (a line, a
counter, a row that `status` shows until somebody acknowledges it) and what can be read is read: the inbox sees to it
that nothing is handled twice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from aiokafka.client import AIOKafkaClient

from backbone.consuming import sql
from backbone.consuming.broker import Log, Topic, epoch_ends, survey
from backbone.events.topics import PartitionId
from backbone.observing import metrics
from backbone.observing.logs import logger
from backbone.storage.database import Database, Tx

ANOTHER_LOG, CUT_BACK, GONE, MORE_PARTITIONS = "another-log", "cut-back", "gone", "more-partitions"


@dataclass(frozen=True)
class Stored:
    """Holds a row of consumer_offsets."""

    next: int
    log: UUID | None
    epoch: int | None
    checked: int | None


@dataclass(frozen=True)
class Break:
    """Describes a stored place that does not fit its log, in words."""

    place: PartitionId
    what: str
    said: str
    unread: int = 0
    """Records that are known to be gone unread; how many others there were nobody can tell."""


@dataclass(frozen=True)
class Now:
    """Holds what Kafka and the database said at one moment."""

    topics: Mapping[str, Topic]
    logs: Mapping[PartitionId, Log]
    stored: Mapping[PartitionId, Stored]
    epoch_ends: Mapping[PartitionId, int]

    def goes_on(self, place: PartitionId) -> tuple[int, Break | None]:
        """Return the offset at which a reader goes on, and the break to report. The place must have a log."""
        return resume(place, self.stored.get(place), self.logs[place], self.epoch_ends.get(place))


def resume(place: PartitionId, stored: Stored | None, log: Log, epoch_end: int | None) -> tuple[int, Break | None]:
    """Decide where a reader goes on in the log there is now.

    `epoch_end` is where the stored epoch ended; None where it still lasts, or none is known. In doubt it is read again.
    """
    if stored is None or stored.next == sql.ANEW:
        return log.beginning, None
    if stored.log not in (None, log.id):
        said = f"the topic was made anew: offset {stored.next} was of another log; read from its beginning"
        return log.beginning, Break(place, ANOTHER_LOG, said)
    common = stored.next if epoch_end is None else max(0, min(epoch_end, stored.next))
    if log.end < stored.next or common < (stored.checked or 0):
        next_offset = log.beginning if epoch_end is None else max(log.beginning, min(common, log.end))
        said = f"the log was cut back: offset {stored.next} was read; read again from {next_offset}"
        return next_offset, Break(place, CUT_BACK, said)
    if common < log.beginning and stored.next < log.beginning:
        gone = log.beginning - stored.next
        said = f"{gone} records are gone unread: next was {stored.next}, the log begins at {log.beginning}"
        return log.beginning, Break(place, GONE, said, gone)
    return max(common, log.beginning), None


class Places:
    """Stores one consumer's places, and compares them with the logs."""

    def __init__(self, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    def now(self) -> datetime:
        """Return the database's time."""
        return self._database.now()

    async def look(self, client: AIOKafkaClient, names: Collection[str]) -> Now:
        """Read the stored places and ask Kafka for the logs. Raises KafkaError.

        The database first: a log only grows, so that what was stored before it was asked for is within it.
        """
        rows = await sql.OFFSETS_READ.fetch(self._database, consumer=self._consumer)
        stored = {(row["topic"], row["partition"]): _stored(row) for row in rows}
        topics, logs = await survey(client, names)
        changed = {place: epoch for place, log in logs.items() if (epoch := _ended(stored.get(place), log)) is not None}
        return Now(topics, logs, stored, await epoch_ends(client, topics, changed) if changed else {})

    async def take(self, client: AIOKafkaClient, places: Collection[PartitionId]) -> dict[PartitionId, int | None]:
        """Store and return the offsets at which these partitions go on, and report breaks; None where there is no log.

        Those that another replica moved at the same moment are left out: they may be taken in a moment.
        """
        now = await self.look(client, {topic for topic, _ in places})
        found = {place: now.goes_on(place) for place in sorted(places) if place in now.logs}
        async with self._database.transaction() as tx:
            taken = await self._store(tx, now, {place: offset for place, (offset, _) in found.items()})
            breaks = [each for place in taken if (each := found[place][1])]
            said = [each for each in breaks if await self._write(tx, each)]
        for each in said:
            _say(each)
        return {**dict.fromkeys(set(places) - found.keys()), **{place: found[place][0] for place in taken}}

    async def _store(self, tx: Tx, now: Now, offsets: Mapping[PartitionId, int]) -> list[PartitionId]:
        rows = [
            (*place, was.next if (was := now.stored.get(place)) else None, offset, log.id, log.epoch)
            for place, offset in offsets.items()
            for log in (now.logs[place],)
        ]
        if not rows:
            return []
        taken = await sql.OFFSETS_PLACE.fetch(tx.raw, consumer=self._consumer, place=rows)
        if new := sorted({topic for topic, _ in offsets} - {topic for topic, _ in now.stored}):
            await sql.PAUSES_LOCK.fetch(tx.raw)
            await sql.PAUSED_KEYS_MEET.execute(tx.raw, consumer=self._consumer, topics=new)
        if anew := [(row["topic"], row["partition"]) for row in taken if row["counts_anew"]]:
            await sql.COUNTS_CLEAR.execute(tx.raw, consumer=self._consumer, place=anew)
        return [(row["topic"], row["partition"]) for row in taken]

    async def checked(self, now: Now, positions: Mapping[PartitionId, int]) -> None:
        """Store that these places fit, so that a later look knows up to where the log was the same."""
        rows = [
            (*place, log.id, log.epoch, position)
            for place, position in sorted(positions.items())
            for log, stored in ((now.logs[place], now.stored[place]),)
            if (stored.epoch, stored.checked) != (log.epoch, position)
        ]
        if rows:
            await sql.OFFSETS_CHECKED.fetch(self._database, consumer=self._consumer, place=rows)

    async def say(self, broken: Break) -> None:
        """Store and log a break, unless it is stored already and not yet acknowledged."""
        async with self._database.transaction() as tx:
            is_new = await self._write(tx, broken)
        if is_new:
            _say(broken)

    async def _write(self, tx: Tx, broken: Break) -> bool:
        return await sql.LOG_BREAK.fetchrow(tx.raw, consumer=self._consumer, broken=[broken]) is not None


def _stored(row: asyncpg.Record) -> Stored:
    return Stored(row["next_offset"], row["log"], row["leader_epoch"], row["checked_offset"])


def _ended(stored: Stored | None, log: Log) -> int | None:
    """Return the stored place's epoch if Kafka must be asked about it: it is of this log, and not the present one."""
    if stored is None or stored.log != log.id or stored.epoch == log.epoch:
        return None
    return stored.epoch


def _say(broken: Break) -> None:
    topic, partition = broken.place
    metrics.LOG_BREAKS.labels(topic, broken.what).inc()
    metrics.UNREAD.labels(topic).inc(broken.unread)
    logger.error(
        "a stored place does not fit its topic",
        action="log-break",
        topic=topic,
        partition=partition,
        what=broken.what,
        said=broken.said,
    )
