"""The balance sheet in the database: how much the archive holds in a range of offsets, openings, and alarms."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec
from msgspec.structs import replace
from sqlalchemy import BigInteger, DateTime, Integer, Text, Uuid, column

from backbone.consuming.batch import Incoming
from backbone.events.topics import PartitionId
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement, rows, tuples
from services.ledger.balance.alarms import Alarm
from services.ledger.balance.decisions import NONE, Difference, Records
from services.ledger.tables import alarms, copies, openings

STRIDE = 200_000
"""So many offsets one statement counts at most: a history of years takes many, and each of them seconds."""
EARLIER = timedelta(seconds=5)
"""What was archived so long before its log was taken up may still be of it: two clocks have told the times."""


class Span(msgspec.Struct, frozen=True):
    """Names the records [first, next) of a partition's log, which the archive has read since `after`."""

    topic: str
    partition: int
    first: int
    next: int
    after: datetime
    log: str | None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what the archive has, by type, that a consumer did not count, and up to where the two have balanced.

    `since` names the two beginnings that this holds for.
    """

    consumer: str
    topic: str
    partition: int
    since: str
    counts: dict[str, Records]
    heard_first: dict[str, int]
    """How many events it heard of first by what is a copy to the archive."""
    balanced_offset: int

    @property
    def at(self) -> tuple[str, PartitionId]:
        """Whose it is, and of which partition."""
        return self.consumer, (self.topic, self.partition)


_SPAN = tuples(
    column("at", Integer),
    column("topic", Text),
    column("partition", Integer),
    column("first", BigInteger),
    column("next", BigInteger),
    column("after", DateTime(timezone=True)),
    column("log", Uuid),
)

# A record that the archive could not take lies among the letters. After a topic was made anew its offsets are given
# anew: what was archived before that is of another log.
_COUNT = Statement(
    """
    SELECT span.at, found.type, count(*) FILTER (WHERE NOT is_copy) AS events,
           count(*) FILTER (WHERE is_copy) AS copies
    FROM :span JOIN LATERAL (
      SELECT type, false AS is_copy FROM events
      WHERE topic = span.topic AND partition = span.partition AND "offset" >= span.first AND "offset" < span.next
        AND archived_at >= span.after
      UNION ALL
      SELECT type, true FROM copies
      WHERE topic = span.topic AND partition = span.partition AND "offset" >= span.first AND "offset" < span.next
        AND noted_at >= span.after
      UNION ALL
      SELECT coalesce(type, ''), false FROM dead_letters
      WHERE topic = span.topic AND partition = span.partition AND "offset" >= span.first AND "offset" < span.next
        AND coalesce(log, span.log) IS NOT DISTINCT FROM span.log
      UNION ALL
      SELECT coalesce(type, ''), false FROM discarded_letters
      WHERE topic = span.topic AND partition = span.partition AND "offset" >= span.first AND "offset" < span.next
        AND coalesce(log, span.log) IS NOT DISTINCT FROM span.log
    ) AS found ON true
    GROUP BY span.at, found.type
    """,
    span=_SPAN,
)
_NEW = Statement(
    """
    SELECT span.at, again.type, count(DISTINCT (again.source, again.id)) AS events
    FROM :span JOIN copies AS again
      ON again.topic = span.topic AND again.partition = span.partition
         AND again."offset" >= span.first AND again."offset" < span.next AND again.noted_at >= span.after
    WHERE NOT EXISTS (
      SELECT FROM events WHERE events.id = again.id AND events.source = again.source
        AND events.topic = again.topic AND events.partition = again.partition
        AND events."offset" >= span.first AND events."offset" < again."offset" AND events.archived_at >= span.after)
    GROUP BY span.at, again.type
    """,
    span=_SPAN,
)
_CANDIDATES = Statement(
    """
    SELECT id FROM events
    WHERE topic = :topic AND partition = :partition AND "offset" >= :first AND type = :type AND archived_at >= :after
    ORDER BY "offset" LIMIT :most
    """
)
# Where the event itself is kept from the same place, its topic is only read again.
_NOTE_COPIES = Statement(
    """
    INSERT INTO copies (:copy.columns) SELECT DISTINCT ON (topic, partition, "offset") :copy.* FROM :copy
    WHERE NOT EXISTS (SELECT FROM events WHERE events.id = copy.id AND events.source = copy.source
                      AND events.topic = copy.topic AND events.partition = copy.partition
                      AND events."offset" = copy."offset")
    ORDER BY topic, partition, "offset"
    ON CONFLICT (topic, partition, "offset") DO UPDATE SET :copy.excluded
    """,
    copy=tuples(copies),
)
_FORGET_COPIES = Statement("DELETE FROM copies WHERE noted_at < :before")
_SILENCES = Statement("SELECT service, since FROM silences")
_BREAK_SILENCE = Statement("DELETE FROM silences WHERE service <> ALL(:silent::text[])")
_NOTE_SILENCE = Statement(
    "INSERT INTO silences (service, since) SELECT unnest(:silent::text[]), :now ON CONFLICT (service) DO NOTHING"
)
_OPENINGS = Statement("SELECT :openings.* FROM openings", openings=openings)
_SAVE_OPENINGS = Statement(
    """
    INSERT INTO openings (:new.columns) SELECT :new.* FROM :new ORDER BY consumer, topic, partition
    ON CONFLICT (consumer, topic, partition) DO UPDATE SET :new.excluded
    """,
    new=rows(openings, counts=lambda each: _as_json(each.counts), heard_first=lambda each: _as_json(each.heard_first)),
)
_ALARMS = Statement("SELECT :alarms.* FROM alarms", alarms=alarms)
_LOCK_ALARMS = Statement("SELECT :alarms.* FROM alarms ORDER BY consumer FOR UPDATE", alarms=alarms)
_LOCK_ALARM = Statement("SELECT :alarms.* FROM alarms WHERE consumer = :consumer FOR UPDATE", alarms=alarms)
_SAVE_ALARMS = Statement(
    """
    INSERT INTO alarms (:new.columns) SELECT :new.* FROM :new ORDER BY consumer
    ON CONFLICT (consumer) DO UPDATE SET :new.excluded
    """,
    new=rows(
        alarms,
        seen=lambda alarm: _as_json(alarm.seen),
        told=lambda alarm: _as_json(alarm.told),
        accepted=lambda alarm: _as_json(alarm.accepted),
    ),
)


async def count(database: Database, spans: Sequence[Span]) -> list[dict[str, Records]]:
    """Count by type what the archive holds in each of these spans."""
    found: list[dict[str, Records]] = [{} for _ in spans]
    for pieces in _pieces(spans):
        for row in await _COUNT.fetch(database, span=_asked(pieces)):
            counted = found[row["at"]]
            counted[row["type"]] = counted.get(row["type"], NONE) + Records(row["events"], row["copies"])
    return found


async def count_new(database: Database, spans: Sequence[Span]) -> list[dict[str, int]]:
    """Count by type the copies in each of these spans of events that have no earlier record there."""
    found: list[dict[str, int]] = [{} for _ in spans]
    if spans:
        for row in await _NEW.fetch(database, span=_asked(enumerate(spans))):
            found[row["at"]][row["type"]] = row["events"]
    return found


def _pieces(spans: Iterable[Span]) -> Iterator[list[tuple[int, Span]]]:
    """Cut spans, so that no statement has more than a stride of offsets to count; each piece with its span's number."""
    pieces, length = list[tuple[int, Span]](), 0
    for at, span in enumerate(spans):
        for first in range(span.first, span.next, STRIDE):
            piece = replace(span, first=first, next=min(first + STRIDE, span.next))
            if length + piece.next - first > STRIDE:
                yield pieces
                pieces, length = [], 0
            pieces.append((at, piece))
            length += piece.next - first
    if pieces:
        yield pieces


def _asked(spans: Iterable[tuple[int, Span]]) -> list[tuple[object, ...]]:
    return [
        (at, each.topic, each.partition, each.first, each.next, each.after - EARLIER, each.log) for at, each in spans
    ]


async def candidates(database: Database, difference: Difference, first: int, after: datetime, most: int) -> list[str]:
    """Name events of a difference's type and partition from an offset on."""
    rows = await _CANDIDATES.fetch(
        database,
        topic=difference.topic,
        partition=difference.partition,
        first=first,
        type=difference.type,
        after=after - EARLIER,
        most=most,
    )
    return [row["id"] for row in rows]


async def note_copies(incoming: Sequence[Incoming], tx: Tx) -> None:
    """Note that events came again which are kept already."""
    again = [(each.record, each.event) for each in incoming if each.event]
    rows = [(at.topic, at.partition, at.offset, each.type, each.source, each.id, tx.now) for at, each in again]
    await _NOTE_COPIES.execute(tx.raw, copy=rows)


async def forget_copies(tx: Tx, before: datetime) -> int:
    """Delete copies that were noted before a time; return how many."""
    return await _FORGET_COPIES.execute(tx.raw, before=before)


async def find_silences(database: Database) -> dict[str, datetime]:
    """Return since when services do not answer, by those that did not at the last look."""
    return {row["service"]: row["since"] for row in await _SILENCES.fetch(database)}


async def note_silences(tx: Tx, silent: Sequence[str]) -> None:
    """Write which services did not answer at a look; of one that did not before either it stays since when."""
    await _BREAK_SILENCE.execute(tx.raw, silent=sorted(silent))
    await _NOTE_SILENCE.execute(tx.raw, silent=sorted(silent), now=tx.now)


async def find_openings(database: Database) -> dict[tuple[str, PartitionId], Opening]:
    """Return all openings, by consumer and partition."""
    found = [msgspec.convert(dict(row), Opening) for row in await _OPENINGS.fetch(database)]
    return {each.at: each for each in found}


async def save_openings(tx: Tx, changed: Iterable[Opening]) -> None:
    """Write openings, new ones or changed ones."""
    await _SAVE_OPENINGS.execute(tx.raw, new=list(changed))


async def find_alarms(database: Database) -> dict[str, Alarm]:
    """Return what was found last about each consumer."""
    return _by_consumer(await _ALARMS.fetch(database))


async def lock_alarms(tx: Tx) -> dict[str, Alarm]:
    """Lock all that was found last and return it, by consumer."""
    return _by_consumer(await _LOCK_ALARMS.fetch(tx.raw))


async def lock_alarm(tx: Tx, consumer: str) -> Alarm | None:
    """Lock what was found last about a consumer and return it; None where nothing ever was looked at."""
    return _by_consumer(await _LOCK_ALARM.fetch(tx.raw, consumer=consumer)).get(consumer)


async def save_alarms(tx: Tx, changed: Iterable[Alarm]) -> None:
    """Write what was found."""
    await _SAVE_ALARMS.execute(tx.raw, new=list(changed))


def _by_consumer(found: Iterable[asyncpg.Record]) -> dict[str, Alarm]:
    alarms = [msgspec.convert(dict(row), Alarm) for row in found]
    return {each.consumer: each for each in alarms}


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
