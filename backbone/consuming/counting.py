"""Counts what became of each record, in the transaction that did it: what the ledger's balance sheet is made of.

A record is known by its offset and counts once, whatever is read again: one that was counted before and now has an
effect is no longer ignored. The same event at another offset is another record, and `repeated`. What is parked or
discarded is counted where it lies, so that a letter which vanishes is missed; housekeeping counts those that it purges.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from backbone.consuming import sql
from backbone.consuming.batch import Batch, Incoming, Letter, declared_type, printable
from backbone.consuming.redriven import Outcome
from backbone.events.envelope import LONGEST_ATTRIBUTE
from backbone.events.topics import PartitionId
from backbone.storage.database import Database, Tx

NO_TYPE = ""
"""Stands for the type of a record that declares none."""
_PLACE = ("topic", "partition", "next_offset", "counted_offset", "since_offset", "since_at", "uncounted_from", "log")
_COUNT = ("topic", "partition", "type", "applied", "ignored", "repeated", "parked", "held", "discarded")


class Span(msgspec.Struct, frozen=True):
    """Says which of a partition's records count: those from `since` on (None: none), which is new from `counted` on."""

    since: int | None
    counted: int

    def has(self, offset: int) -> bool:
        """Tell whether the record at this offset counts."""
        return self.since is not None and offset >= self.since


Spans = Mapping[PartitionId, Span]


class Outcomes(msgspec.Struct):
    """Counts the records of one type and partition by what became of them."""

    applied: int = 0
    ignored: int = 0
    repeated: int = 0


Counts = dict[tuple[str, int, str], Outcomes]


class Settled(msgspec.Struct, frozen=True):
    """Holds what became of a batch: what was `applied`, what the inbox knew, and what now lies behind a parked key."""

    applied: Collection[Incoming]
    repeated: Collection[Incoming]
    held: Collection[Incoming]


def spans_of(moved: Iterable[asyncpg.Record]) -> dict[PartitionId, Span]:
    """Read from the rows of OFFSETS_MOVE which records count."""
    return {(row["topic"], row["partition"]): Span(row["since_offset"], row["counted_offset"] or 0) for row in moved}


def counts_of(batch: Batch, settled: Settled, spans: Spans) -> Counts:
    """Count a batch. What was counted before counts as ignored no longer, where it was applied or held this time."""
    counts: Counts = defaultdict(Outcomes)
    applied, repeated, held = ({id(each) for each in group} for group in msgspec.structs.astuple(settled))
    for each in batch.incoming:
        span, offset, which = spans[each.place], each.record.offset, id(each)
        if not span.has(offset):
            continue
        outcomes = counts[*each.place, type_of(each)]
        is_known = offset < span.counted
        if which in applied:
            outcomes.applied += 1
            outcomes.ignored -= is_known
        elif which in held:
            outcomes.ignored -= is_known
        elif which in repeated:
            outcomes.repeated += not is_known
        elif each.event is None and each.broken is None:
            outcomes.ignored += not is_known
    return counts


def type_of(incoming: Incoming) -> str:
    """Return the type under which a record counts; one that is longer than a type may be is none."""
    declared = incoming.event.type if incoming.event else declared_type(incoming.record)
    return printable(declared) if declared and len(declared) <= LONGEST_ATTRIBUTE else NO_TYPE


async def add(tx: Tx, consumer: str, counts: Counts) -> None:
    """Write counts, in one statement; without any, none."""
    rows = [(*key, *msgspec.structs.astuple(each)) for key, each in counts.items() if each != Outcomes()]
    if rows:
        await sql.COUNTS_ADD.execute(tx.raw, consumer=consumer, count=rows)


async def newly_held(tx: Tx, consumer: str, held: Sequence[Incoming], spans: Spans) -> Sequence[Incoming]:
    """Return what lies behind a parked key since this transaction: without what is read again and lay there before."""
    known = [(*each.place, each.record.offset) for each in held if each.record.offset < spans[each.place].counted]
    if not known:
        return held
    rows = await sql.LETTERS_BEFORE.fetch(tx.raw, consumer=consumer, held=known)
    before = {(row["topic"], row["partition"], row["offset"]) for row in rows}
    return [each for each in held if (*each.place, each.record.offset) not in before]


async def take_up(tx: Tx, letters: Iterable[Outcome]) -> None:
    """Count letters that are handled, in the transaction that deletes them and before it does."""
    await sql.COUNTS_OF_LETTERS.execute(tx.raw, taken=[(each.letter, each.outcome) for each in letters])


async def replayed(tx: Tx, consumer: str, applied: Iterable[tuple[Incoming, datetime]]) -> None:
    """Count archived events that were applied, each with the time at which Kafka took it."""
    rows = [(*each.place, each.record.offset, type_of(each), recorded_at) for each, recorded_at in applied]
    if rows:
        await sql.COUNTS_REPLAYED.execute(tx.raw, consumer=consumer, again=rows)


async def replay_parked(tx: Tx, consumer: str, parked: Iterable[Incoming]) -> None:
    """Count archived events that now lie behind a parked key, or are parked, each in the log that it came from."""
    letters = [(each, each.record) for each in parked]
    rows = [
        (*each.place, letter.offset, letter.log, datetime.fromtimestamp(letter.timestamp / 1000, UTC))
        for each, letter in letters
        if isinstance(letter, Letter) and letter.timestamp is not None
    ]
    if rows:
        await sql.COUNTS_REPLAY_PARKED.execute(tx.raw, consumer=consumer, again=rows)


async def look(database: Database) -> list[dict[str, Any]]:
    """Return for each consumer its places, and what became of their records, as of one moment."""
    consumers: dict[str, dict[str, Any]] = {}
    for row in await sql.COUNTS.fetch(database):
        told = consumers.setdefault(row["consumer"], {"consumer": row["consumer"], "counts": [], "places": []})
        place = {name: row[name] for name in _PLACE}
        if place not in told["places"][-1:]:
            told["places"].append(place)
        if row["type"] is not None:
            told["counts"].append({name: row[name] for name in _COUNT})
    return list(consumers.values())
