"""Gathers what it takes to see a dead letter fail elsewhere: it, what its key saw before, and the state that it met.

The state is the rows of the service's own tables that the event speaks of, and those that these rows speak of.
Personal data is replaced everywhere by other text of the same shape, the same by the same.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from backbone.consuming import letters_sql, parking
from backbone.consuming.batch import Letter
from backbone.consuming.letters import error_shown
from backbone.consuming.masking import Mask, names_in, texts_in
from backbone.errors import SlicelineError
from backbone.events.envelope import from_record
from backbone.storage.database import Database
from backbone.storage.statement import Statement
from backbone.storage.tables import metadata
from backbone.values import readable

MOST_ROWS = 50
"""Rows of one table that are taken along at most."""
HOPS = 2
"""How far is followed: from the event to rows, and from these to others."""
_LONGEST = 200
_NOT_OURS = {*metadata.tables, "alembic_version"}

# By table: the columns of text by which an index leads to rows, and whether the table's key begins with it. By others
# no row is looked for: that would read tables from end to end, on a database that others work with.
_COLUMNS = Statement("""
SELECT c.relname AS table, a.attname AS column, a.atttypid = 'uuid'::regtype AS is_uuid,
       bool_or(i.indisprimary) AS is_key
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_index AS i ON i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'uuid'::regtype)
GROUP BY c.relname, a.attname, a.atttypid, a.attnum ORDER BY c.relname, a.attnum
""")

Rows = dict[str, list[dict[str, Any]]]
Row = asyncpg.Record | Mapping[str, Any]


async def material(
    database: Database, consumer: str, letter: int, archived: Sequence[Letter] | None = None
) -> dict[str, Any] | None:
    """Return what a test of one letter is written from; None when there is no such letter.

    `archived`: the events before it on its key, where somebody has them. The service has kept those that it could not
    handle either.
    """
    found = await letters_sql.LETTER_PAGE.fetch(database, consumer=consumer, letter=letter)
    if not found:
        return None
    row = found[0]
    before = await _kept(database, consumer, row) if archived is None else [_stored(each) for each in archived]
    state = await _state(database, row)
    seen = await _seen(database, consumer, row)
    mask = Mask()
    for document in (row["key"], row["error"], *_texts(state)):
        mask.learn(document)
    for record in (row, *before):
        _learn(mask, record)
    return {
        "service": consumer,
        "letter": letter,
        "key": mask.text(row["key"]),
        "type": row["type"],
        "parked_at": row["parked_at"],
        "failed": error_shown(row, mask.text),
        "event": _record(row, mask),
        "before": [_record(each, mask) for each in before],
        "inbox": seen,
        "state": mask.value(state),
    }


async def _kept(database: Database, consumer: str, row: asyncpg.Record) -> Sequence[Row]:
    about = {"topic": row["topic"], "key": row["key"], "letter": row["id"]}
    return await letters_sql.BEFORE_RECORDS.fetch(database, consumer=consumer, **about)


def _stored(record: Letter) -> Row:
    """Give a record the form in which letters are stored."""
    headers = parking.headers_of(record)
    return {"topic": record.topic, "record_key": record.key, "headers": headers, "value": record.value}


def _texts(state: Rows) -> Iterator[Any]:
    for rows in state.values():
        yield from rows


def _learn(mask: Mask, record: Row) -> None:
    """Learn what is personal in a record, in whichever part of it."""
    try:
        mask.learn(readable.read(record["value"] or b"null"))
    except readable.Unreadable:
        mask.learn_broken(_text(record["value"]))
    others = [record["record_key"], *(parking.bytes_of(text) for _, text in record["headers"] if text is not None)]
    for other in others:
        mask.learn(_text(other or b""))


def _data(row: Row) -> Iterator[Any]:
    try:
        yield readable.read(row["value"] or b"null")
    except readable.Unreadable:
        return


def _record(row: Row, mask: Mask) -> dict[str, Any]:
    """Give a letter as the record it was, in the escapes of a header."""
    headers = [(name, None if text is None else parking.bytes_of(text)) for name, text in row["headers"]]
    return {
        "topic": row["topic"],
        "key": _masked(row["record_key"], mask),
        "headers": [(name, _masked(value, mask)) for name, value in headers],
        "value": _value(row["value"], mask),
    }


def _value(value: bytes | None, mask: Mask) -> str | None:
    """Mask data member by member; what is no document is masked as the text that it is."""
    try:
        data = readable.read(value or b"")
    except readable.Unreadable:
        return _masked(value, mask)
    return parking.text_of(json.dumps(mask.value(data), ensure_ascii=False, separators=(",", ":")).encode())


def _masked(value: bytes | None, mask: Mask) -> str | None:
    """Mask bytes as the text that they are to people, before any of it is escaped."""
    return None if value is None else parking.text_of(mask.text(_text(value)).encode(errors="surrogateescape"))


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


async def _seen(database: Database, consumer: str, row: asyncpg.Record) -> list[str]:
    """Return under which names the letter's occurrence was handled before."""
    record = parking.letter_of(row)
    try:
        event = from_record(record.key, record.value, record.headers)
    except SlicelineError:
        return []
    rows = await letters_sql.INBOX_OF.fetch(database, consumer=consumer, occurrence=event.occurrenceid)
    return [each["name"] for each in rows]


async def _state(database: Database, row: asyncpg.Record) -> Rows:
    """Return the rows of the service's own tables that the event speaks of, and those that they speak of."""
    columns = await _columns_of(database)
    known = {row["key"], *(text for data in _data(row) for text in texts_in(data) if "\x00" not in text)}
    state = Rows()
    for _ in range(HOPS):
        wanted = [text for text in known if 0 < len(text) <= _LONGEST]
        state = {table: await _rows(database, table, named, row["key"], wanted) for table, named in columns.items()}
        known |= set(names_in(_texts(state)))
    return {table: rows for table, rows in state.items() if rows}


async def _columns_of(database: Database) -> dict[str, list[asyncpg.Record]]:
    columns = dict[str, list[asyncpg.Record]]()
    for each in await _COLUMNS.fetch(database):
        if each["table"] not in _NOT_OURS:
            columns.setdefault(each["table"], []).append(each)
    return columns


async def _rows(
    database: Database, table: str, columns: Iterable[asyncpg.Record], key: str, wanted: list[str]
) -> list[dict[str, Any]]:
    """Return rows with the event's key in a column, or with something that is spoken of in the table's key."""
    found: dict[str, dict[str, Any]] = {}
    for each in columns:
        texts = wanted if each["is_key"] else [key]
        query = (
            f'SELECT to_jsonb(t) AS row FROM "{table}" AS t '  # noqa: S608  names that the catalogue has
            f'WHERE "{each["column"]}" = ANY($1::{"uuid" if each["is_uuid"] else "text"}[]) LIMIT {MOST_ROWS}'
        )
        rows = await database.fetch(query, [*filter(_is_uuid, texts)] if each["is_uuid"] else texts)
        found |= {json.dumps(row["row"], sort_keys=True): row["row"] for row in rows}
    return list(found.values())[:MOST_ROWS]


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
