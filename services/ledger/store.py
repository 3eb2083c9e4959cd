"""The archive in the database: events as they came, and the partitions they lie in."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
from msgspec.structs import astuple
from sqlalchemy import Select, select, tuple_

from backbone.storage.database import Database, Tx
from backbone.storage.statement import Session, Statement, rows, tuples
from services.ledger.filters import Filters, Place
from services.ledger.funnel import ENDINGS, PLACED, Group
from services.ledger.kept import Archived, Kept, day_of, headers_as_json, headers_of
from services.ledger.tables import events, told_forms
from services.ledger.throughput import STATUSES, STEPS
from services.ledger.wiring import short

E = events.c
F = TypeVar("F", bound=tuple[str, int, str])
_NAME = "events_%Y%m%d"
_ORDER = (E.time, E.id, E.source)
_OF_ONE = (E.time, E.topic, E.sequence, E.id)

# Sorted, so that two replicas with the same events never wait for each other in a ring.
_ADD_ALL = Statement(
    """
    INSERT INTO events (:new.columns, archived_at) SELECT :new.*, :now::timestamptz FROM :new ORDER BY id, source
    ON CONFLICT DO NOTHING
    """,
    new=rows(events, without=("archived_at",), headers=lambda event: headers_as_json(event.headers)),
)
_PARTITIONS = Statement(
    """
    SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'events'::regclass AND c.relname <> 'events_rest'
    """
)
# What is done to the archive's tables is done by functions of their owner (migration 0007): the role of the service may
# neither make nor drop one, nor delete an event.
_DAYS_OF_REST = Statement("SELECT day FROM events_days_of_rest(:first, :last) AS found(day)")
_MAKE_DAYS = Statement("SELECT events_make_days(:days::date[])")
_DROP_DAYS = Statement("SELECT events_drop_days(:days::date[])")
_FORGET_OF_REST = Statement("SELECT events_forget_rest(:before)")
_RATES = Statement(
    """
    SELECT topic, type, count(*) AS events, max(time) AS last_at FROM events
    WHERE time >= :since AND day >= :day GROUP BY topic, type ORDER BY topic, type
    """
)
# An event that came without a time is placed by its own. A day is said beside a time: only so are the partitions of
# others left alone.
_CAME = "coalesce(recorded_at, time)"
_IS_WANTED = """
    (:every OR type = ANY(:types::text[]) OR topic LIKE ANY (:topics::text[]))
    AND (:since::timestamptz IS NULL OR (time >= :since AND day >= (:since AT TIME ZONE 'UTC')::date))
    AND (:until::timestamptz IS NULL OR (time < :until AND day <= (:until AT TIME ZONE 'UTC')::date))
"""
_RECORD = f"""id, topic, partition, "offset", {_CAME} AS recorded_at, record_key, headers::text AS headers, value,
    key, sequence, source, correlationid"""
_AS_THEY_CAME = f'{_CAME}, topic, partition, "offset", id'
_FIRST_RECORDS = Statement(f"SELECT {_RECORD} FROM events WHERE {_IS_WANTED} ORDER BY {_AS_THEY_CAME} LIMIT :most")  # noqa: S608  our own
_NEXT_RECORDS = Statement(f"""
    SELECT {_RECORD} FROM events WHERE {_IS_WANTED}
    AND ({_AS_THEY_CAME}) > (:recorded_at::timestamptz, :topic::text, :partition::int, :offset::bigint, :id::text)
    ORDER BY {_AS_THEY_CAME} LIMIT :most
""")  # noqa: S608  our own text
_RECORDS_BEFORE = Statement(f"""
    SELECT {_RECORD} FROM events WHERE key = :key AND topic = :topic AND sequence < :sequence
    ORDER BY sequence DESC LIMIT :most
""")  # noqa: S608  our own text
_NOTE_FORMS = Statement(
    "INSERT INTO told_forms (:form.columns, told_at) SELECT :form.*, :now::timestamptz FROM :form "
    "ON CONFLICT DO NOTHING RETURNING type, number",
    form=tuples(told_forms.c.type, told_forms.c.number),
)
_KNOWS_FORMS = Statement("SELECT EXISTS (SELECT FROM told_forms)")
_COUNT_RECORDS = Statement(f"SELECT count(*) FROM events WHERE {_IS_WANTED}")  # noqa: S608  our own text
# The index of stories leads to what followed from an event: it carries its story on.
_PUBLISHED = Statement("""
    SELECT causationid, type, key FROM events
    WHERE correlationid = ANY(:stories::text[]) AND causationid = ANY(:ids::text[]) AND source = :source
""")
_COUNT_INCOMPLETE_KEYS = Statement("""
    SELECT count(*) FROM (
      SELECT FROM events WHERE topic = ANY(:topics::text[]) GROUP BY topic, key HAVING count(*) < max(sequence)
    ) AS incomplete
""")
_LAST_NUMBERS = Statement("""
    SELECT topic, key, max(sequence) AS last FROM events
    WHERE source = :source AND (key, topic) > (:key::text, :topic::text)
    GROUP BY key, topic ORDER BY key, topic LIMIT :most
""")

# How a record of orders says it. Its JSON is not parsed: one that Postgres refuses would spoil it for all.
COLLECTION = b'"fulfilment":"collection"'

# Each order that came since, with what was told of it, as bits in the order of the types: so nothing has to be sorted.
# Then those of which the same was told are counted together; ids begin with their time, so the least is the oldest.
_GROUPS = Statement(
    """
    WITH came AS (
      SELECT key, min(time) AS placed_at, bool_or(position(:collection IN value) > 0) AS is_collected
      FROM events WHERE type = :placed AND time >= :since AND day >= :day GROUP BY key
    ), told AS (
      SELECT key, max(time) AS progressed_at, bit_or(1::bigint << array_position(:types::text[], type)) AS told
      FROM events WHERE type = ANY(:types::text[]) AND time >= :since AND day >= :day GROUP BY key
    ), stood AS MATERIALIZED (SELECT * FROM came JOIN told USING (key)
    ), alike AS (
      SELECT told, is_collected, count(*) AS orders, min(key) AS oldest,
             count(*) FILTER (WHERE progressed_at < :before) AS stuck
      FROM stood GROUP BY told, is_collected
    )
    SELECT alike.*, first.placed_at, first.progressed_at, late.longest, late.since
    FROM alike JOIN stood AS first ON first.key = alike.oldest LEFT JOIN LATERAL (
      SELECT array_agg(key) AS longest, array_agg(progressed_at) AS since FROM (
        SELECT key, progressed_at FROM stood
        WHERE told = alike.told AND is_collected = alike.is_collected AND progressed_at < :before
        ORDER BY progressed_at, key LIMIT 20
      ) AS sorted
    ) AS late ON alike.told & :ends = 0
    """
)

# Each order once for each status, at the first event that tells of it: there may be several versions of one.
_REACHED = Statement(
    """
    WITH reached AS (
      SELECT (:statuses::text[])[array_position(:types::text[], type)] AS status, min(time) AS at FROM events
      WHERE type = ANY(:types::text[]) AND time >= :since AND time < :until AND day >= :day GROUP BY status, key
    )
    SELECT status, floor(extract(epoch FROM at - :since::timestamptz) / :step::int)::int AS step, count(*) AS orders
    FROM reached GROUP BY status, step
    """
)


async def add_all(tx: Tx, new: Sequence[Kept]) -> None:
    """Keep events; one that is kept already stays as it is."""
    await _ADD_ALL.execute(tx.raw, new=new, now=tx.now)


async def days(session: Session) -> set[date]:
    """Name the days that have a partition."""
    return {datetime.strptime(row["relname"], _NAME).date() for row in await _PARTITIONS.fetch(session)}


async def days_of_rest(session: Session, first: date, last: date) -> set[date]:
    """Name the days between these of which there are events and no partition."""
    return {row["day"] for row in await _DAYS_OF_REST.fetch(session, first=first, last=last)}


async def make(tx: Tx, wanted: Collection[date]) -> None:
    """Make the partitions of these days, and move there what came without one. Those that are there stay."""
    await _MAKE_DAYS.execute(tx.raw, days=sorted(wanted))


async def drop(tx: Tx, unwanted: Collection[date]) -> None:
    """Drop the partitions of these days."""
    await _DROP_DAYS.execute(tx.raw, days=sorted(unwanted))


async def forget_rest(tx: Tx, before: datetime) -> int:
    """Delete what was archived before a time and belongs to no partition's day; return how many events."""
    forgotten: int = await _FORGET_OF_REST.fetchval(tx.raw, before=before)
    return forgotten


async def find(database: Database, id: str) -> list[Archived]:  # noqa: A002  the attribute's name
    """Give the events of an id: one for each source that has given it."""
    return await _fetch(database, select(events).where(E.id == id).order_by(E.source, E.time))


async def find_key(database: Database, key: str, limit: int | None) -> list[Archived]:
    """Give the events of a key, in whatever topic, the oldest first."""
    return await _fetch(database, select(events).where(E.key == key).order_by(*_OF_ONE).limit(limit))


async def find_stories(
    database: Database, stories: Collection[str], limit: int | None, but_of: str | None
) -> list[Archived]:
    """Give the events that some commands have set off, the oldest first, but those of a key."""
    query = select(events).where(E.correlationid.in_(sorted(stories)))
    if but_of is not None:
        query = query.where(E.key != but_of)
    return await _fetch(database, query.order_by(*_OF_ONE).limit(limit))


async def find_newest(database: Database, key: str, until: datetime, most: int) -> list[Archived]:
    """Give the last events of a key up to a moment, the oldest of them first."""
    query = select(events).where(E.key == key, E.time <= until).order_by(*(each.desc() for each in _OF_ONE))
    return (await _fetch(database, query.limit(most)))[::-1]


async def find_newest_of_types(
    database: Database, types: Collection[str], since: datetime, most: int
) -> list[Archived]:
    """Give the last events of these types since a moment, the newest first."""
    query = select(events).where(E.type.in_(types), E.time >= since, E.day >= day_of(since))
    return await _fetch(database, query.order_by(E.time.desc()).limit(most))


async def count_orders(database: Database, types: Sequence[str], since: datetime, before: datetime) -> list[Group]:
    """Count the orders placed since a moment, by what was told of them; stuck are those that got on last `before`."""
    ends = sum(1 << number for number, each in enumerate(types, 1) if short(each) in ENDINGS)
    found = await _GROUPS.fetch(
        database,
        placed=PLACED,
        collection=COLLECTION,
        types=list(types),
        ends=ends,
        since=since,
        day=day_of(since),
        before=before,
    )
    return [_group(types, **row) for row in found]


async def count_reached(
    database: Database, types: Sequence[str], since: datetime, step: int
) -> list[tuple[str, int, int]]:
    """Count the orders that reached a status in each step of so many seconds; what is not told was reached by none."""
    found = await _REACHED.fetch(
        database,
        types=list(types),
        statuses=[STATUSES[short(each)] for each in types],
        since=since,
        until=since + timedelta(seconds=step * STEPS),
        day=day_of(since),
        step=step,
    )
    return [tuple(row) for row in found]


async def list_page(database: Database, filters: Filters, after: Place | None, limit: int) -> list[Archived]:
    """Give what an index leads to, in order of time. What an index cannot tell is not asked for."""
    return await _fetch(database, _query(filters, after).limit(limit))


def _query(filters: Filters, after: Place | None) -> Select[Any]:
    """Ask for what an index leads to. A day is said beside a time: only so are the partitions of others left alone."""
    query = select(events).order_by(*(each.desc() for each in _ORDER) if filters.newest_first else _ORDER)
    for column in (E.id, E.type, E.source, E.key, E.correlationid, E.traceid):
        if (wanted := getattr(filters, column.key)) is not None:
            query = query.where(column == wanted)
    if filters.since is not None:
        query = query.where(E.time >= filters.since, E.day >= day_of(filters.since))
    if filters.until is not None:
        query = query.where(E.time < filters.until, E.day <= day_of(filters.until))
    if after is not None and filters.newest_first:
        query = query.where(E.time <= after.time, E.day <= day_of(after.time), tuple_(*_ORDER) < astuple(after))
    elif after is not None:
        query = query.where(E.time >= after.time, E.day >= day_of(after.time), tuple_(*_ORDER) > astuple(after))
    return query


async def _fetch(database: Database, query: Select[Any]) -> list[Archived]:
    async with database.reading() as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [_archived(**row) for row in rows]


def _group(
    types: Sequence[str], told: int, longest: Sequence[str] | None, since: Sequence[datetime] | None, **columns: Any
) -> Group:
    names = frozenset(short(each) for number, each in enumerate(types, 1) if told & 1 << number)
    return Group(told=names, longest=longest or (), since=since or (), **columns)


def _archived(headers: Any, **columns: Any) -> Archived:
    return Archived(headers=headers_of(headers), **columns)


async def list_records(
    session: Session, wanted: Mapping[str, Any], after: Mapping[str, Any] | None, most: int
) -> list[asyncpg.Record]:
    """Return records as they came, in the order in which Kafka took them, those after a place if one is given."""
    if after is None:
        return await _FIRST_RECORDS.fetch(session, **wanted, most=most)
    return await _NEXT_RECORDS.fetch(session, **wanted, **after, most=most)


async def list_records_before(session: Session, event: Kept, most: int) -> list[asyncpg.Record]:
    """Return the records of the same key and topic before an event, the last one first."""
    place = {"key": event.key, "topic": event.topic, "sequence": event.sequence}
    return await _RECORDS_BEFORE.fetch(session, **place, most=most)


async def count_records(session: Session, wanted: Mapping[str, Any]) -> int:
    """Return how many records are wanted."""
    [(number,)] = await _COUNT_RECORDS.fetch(session, **wanted)
    return int(number)


async def count_since(database: Database, since: datetime) -> list[asyncpg.Record]:
    """Count the events since a moment, by topic and type, with the time of the last of each."""
    return await _RATES.fetch(database, since=since, day=day_of(since))


async def count_incomplete_keys(session: Session, topics: Sequence[str]) -> int:
    """Return of how many keys in these topics not every event is kept."""
    [(number,)] = await _COUNT_INCOMPLETE_KEYS.fetch(session, topics=list(topics))
    return int(number)


async def list_published(
    session: Session, source: str, stories: Collection[str], ids: Collection[str]
) -> list[asyncpg.Record]:
    """Return what a source has published because of the events of these ids, which belong to these stories."""
    return await _PUBLISHED.fetch(session, stories=list(stories), ids=list(ids), source=source)


async def list_last_numbers(session: Session, source: str, after: tuple[str, str], most: int) -> list[asyncpg.Record]:
    """Return the last sequence that a source has given in each topic, by key and topic, after those of `after`."""
    key, topic = after
    return await _LAST_NUMBERS.fetch(session, source=source, key=key, topic=topic, most=most)


async def knows_forms(tx: Tx) -> bool:
    """Tell whether any form of a contract was ever noted."""
    return bool(await _KNOWS_FORMS.fetchval(tx.raw))


async def note_forms(tx: Tx, forms: Collection[F]) -> list[F]:
    """Note forms of contracts as told of, and return those that were not."""
    new = await _NOTE_FORMS.fetch(tx.raw, form=[form[:2] for form in forms], now=tx.now)
    known = {(row["type"], row["number"]) for row in new}
    return [form for form in forms if form[:2] in known]
