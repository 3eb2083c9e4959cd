"""Feeds archived events to one service again (replay): all that a consumer does with them, but for its offsets.

What the service has applied its inbox knows. What came before the inbox's memory begins is never applied: nobody can
tell whether it was. The archive also tells what the service published because of an event; that is not published
again, and a job that has led to it is not started again where the other side would not recognise it.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from backbone.consuming import counting, inbox, parking, sql
from backbone.consuming.batch import Batch, Incoming, Letter, read
from backbone.consuming.batch_processor import BatchProcessor, less
from backbone.consuming.handlers import Handlers
from backbone.events.records import Record
from backbone.storage.database import Database, Tx
from backbone.storage.outbox import Told

APART = timedelta(hours=1)
"""How far Kafka's clock, which says when an event came, may be from the database's, which says what is forgotten."""


class Outcome(StrEnum):
    """Names what became of an archived event, or would become of it."""

    APPLIED = "applied"
    KNOWN = "known"
    FORGOTTEN = "forgotten"
    PARKED = "parked"
    UNREAD = "unread"


Outcomes = Counter[Outcome]


@dataclass(frozen=True, kw_only=True)
class Archived(Letter):
    """Holds an archived event in the shape of the record it was."""

    recorded_at: datetime


def as_archived(record: Letter, recorded_at: datetime) -> Archived:
    """Give a record the time at which Kafka took it, and a log of its own to be parked under.

    The log it was in may be gone, and another record may have its place by now.
    """
    named = {name: value for name, value in record.headers if name in ("ce_source", "ce_id")}
    return Archived(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        record.headers,
        timestamp=int(recorded_at.timestamp() * 1000),
        log=own_log(named.get("ce_source"), named.get("ce_id")),
        recorded_at=recorded_at,
    )


def own_log(source: bytes | None, event_id: bytes | None) -> UUID:
    """Return the log under which a replay parks an event, the same for each replay."""
    return uuid5(NAMESPACE_URL, f"{source!r} {event_id!r}")


class _Sifted(NamedTuple):
    missing: list[Incoming]
    outcomes: Outcomes


class Replaying(BatchProcessor):
    """Applies archived events to one service's database, and counts what became of them."""

    def __init__(
        self,
        name: str,
        handlers: Handlers,
        database: Database,
        told: Collection[Told] = (),
        alone: Collection[str] = (),
    ) -> None:
        """`told`: what the service has published because of these events. `alone`: kinds of jobs not to be repeated."""
        super().__init__(name, handlers, database)
        self.outcomes: Outcomes = Counter()
        self._told = frozenset(told)
        self._alone = alone

    def batch_of(self, events: Sequence[Archived]) -> Batch:
        """Decode archived events into a batch. Its ranges only serve to halve it."""
        ranges = {(each.topic, each.partition): (each.offset, each.offset + 1) for each in events}
        return Batch([read(each, self.views) for each in events], ranges)

    async def look(self, batch: Batch) -> Outcomes:
        """Return what would become of a batch; change nothing."""
        async with self._database.transaction() as tx:
            missing, outcomes = await self._sift(tx, batch.incoming)
            parked = await parking.lock_parked(tx, self._name, missing) if missing else set()
        for each in missing:
            stays = each.broken or (each.record.topic, each.key) in parked
            outcomes[Outcome.PARKED if stays else Outcome.APPLIED] += 1
        return outcomes

    async def apply(self, batch: Batch, *, fresh: bool = False) -> None:
        """Commit what a batch amounts to, all or nothing; see `BatchProcessor.apply`. No offset moves."""
        async with self._database.transaction(fresh=fresh) as tx:
            missing, outcomes = await self._sift(tx, batch.incoming)
            open_ones = await parking.sift(tx, self._name, missing)
            unseen = await self.admit(tx, open_ones)
            counted = [(each, each.record.recorded_at) for each in unseen if isinstance(each.record, Archived)]
            await counting.replayed(tx, self._name, counted)
            await counting.replay_parked(tx, self._name, less(missing, open_ones))
            await self._handle(tx, unseen)
            tx.leave_out(self._told, self._alone)
        outcomes[Outcome.APPLIED] += len(unseen)
        outcomes[Outcome.KNOWN] += len(open_ones) - len(unseen)
        outcomes[Outcome.PARKED] += len(missing) - len(open_ones)
        self.outcomes += outcomes

    async def park(self, batch: Batch, error: Exception) -> None:
        """Park the one event of a batch."""
        async with self._database.transaction() as tx:
            await self._write_off(tx, batch.incoming[0], error)
            await counting.replay_parked(tx, self._name, batch.incoming)
        self.outcomes[Outcome.PARKED] += 1

    async def _write_off(self, tx: Tx, incoming: Incoming, error: Exception) -> None:
        await parking.park(tx, self._name, incoming, error)

    async def _sift(self, tx: Tx, incoming: Sequence[Incoming]) -> _Sifted:
        """Return the events of which the service knows nothing, and count the others."""
        forgotten: datetime | None = await sql.REPLAY_LOCK.fetchval(tx.raw)
        listened = [each for each in incoming if each.event or each.broken]
        ours = await inbox.without_discarded(tx, self._name, listened)
        known = await inbox.known(tx, self._name, ours)
        new = [each for at, each in enumerate(ours) if at not in known]
        told = [each for each in new if not _may_be_forgotten(each.record, forgotten)]
        waiting = await self._parked(tx, told)
        missing = [each for at, each in enumerate(told) if at not in waiting]
        outcomes: Outcomes = Counter(
            {
                Outcome.UNREAD: len(incoming) - len(listened),
                Outcome.KNOWN: len(listened) - len(new),
                Outcome.FORGOTTEN: len(new) - len(told),
                Outcome.PARKED: len(waiting),
            }
        )
        return _Sifted(missing, outcomes)

    async def _parked(self, tx: Tx, incoming: Sequence[Incoming]) -> set[int]:
        """Return which of these events are parked already, by their place among them."""
        wanted = [(each.record.topic, each.key, parking.event_id(each.record)) for each in incoming]
        rows = await sql.LETTERS_KNOWN.fetch(tx.raw, consumer=self._name, wanted=wanted) if wanted else []
        there = {(row["topic"], row["key"], row["event_id"]) for row in rows}
        return {at for at, each in enumerate(wanted) if each in there}


def _may_be_forgotten(record: Record, before: datetime | None) -> bool:
    return before is not None and isinstance(record, Archived) and record.recorded_at < before + APART
