"""Handles a dead letter on a database of its own, for the tests that `./sliceline dead-letters reproduce` writes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from backbone.consuming.batch import Batch, read
from backbone.consuming.batch import Letter as Parked
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.parking import bytes_of
from backbone.events.envelope import from_record
from backbone.service import Service
from backbone.storage.database import Database, Tx
from tests.conftest import NewDatabase

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""By table: its rows, in the JSON that Postgres makes of them."""
Record = Mapping[str, Any]

COLUMNS = """
SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER'
"""


@dataclass(frozen=True)
class Letter:
    """An event, and the state that it met."""

    event: Record
    state: Rows
    inbox: Sequence[str] = ()


async def handled(service: Service[Any], letter: Letter, new_database: NewDatabase) -> None:
    """Handle the event as the service's consumer does, on a fresh database with that state."""
    url = await asyncio.to_thread(new_database, service.name)
    database = Database(url, service.name)
    try:
        record = record_of(letter.event)
        async with database.transaction() as tx:
            await load(tx, service.name, record, letter)
        processor = BatchProcessor(service.name, service.handlers, database)
        incoming = read(record, processor.views)
        await processor.apply(Batch([incoming], {(record.topic, 0): (0, 1)}))
    finally:
        await database.close()


def record_of(event: Record) -> Parked:
    """The Kafka record that a letter was."""
    headers = [(name, None if text is None else bytes_of(text)) for name, text in event["headers"]]
    key, value = (None if event[part] is None else bytes_of(event[part]) for part in ("key", "value"))
    return Parked(event["topic"], 0, 0, key, value, headers)


async def load(tx: Tx, consumer: str, record: Parked, letter: Letter) -> None:
    """Write the state, whatever of it was left out that rows refer to."""
    await tx.raw.execute("SET LOCAL session_replication_role = replica")
    for table, rows in letter.state.items():
        columns = await tx.raw.fetchval(COLUMNS, table)
        await tx.raw.execute(
            f'INSERT INTO "{table}" ({columns}) OVERRIDING SYSTEM VALUE '
            f'SELECT {columns} FROM jsonb_populate_recordset(NULL::"{table}", $1::text::jsonb)',
            orjson.dumps(rows).decode(),
        )
    for name in letter.inbox:
        occurrence = from_record(record.key, record.value, record.headers).occurrenceid
        await tx.raw.execute("INSERT INTO inbox VALUES ($1, $2, $3)", consumer, name, occurrence)
