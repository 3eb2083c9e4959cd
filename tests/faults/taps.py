"""Writes down, inside each transaction, what a service's database was told to publish and which effects it took.

Tables of the tests' own schema, filled by a trigger on the outbox, and by a wrapper around what handles events. What
is rolled back leaves nothing here either.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Union

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from backbone.consuming.batch import Incoming
from backbone.consuming.batch_processor import BatchProcessor
from backbone.events.envelope import name_without_version
from backbone.events.payload import Event, Unread
from backbone.storage.database import Tx
from tests.patches import Patch

TABLES = """
CREATE SCHEMA IF NOT EXISTS taps;
CREATE TABLE IF NOT EXISTS taps.written (id text NOT NULL, topic text NOT NULL, key text NOT NULL);
CREATE TABLE IF NOT EXISTS taps.effects (
  position bigint GENERATED ALWAYS AS IDENTITY, consumer text NOT NULL, source text NOT NULL, key text NOT NULL,
  sequence bigint NOT NULL, name text NOT NULL, occurrence text NOT NULL, at timestamptz DEFAULT clock_timestamp());
GRANT USAGE ON SCHEMA taps TO PUBLIC;
GRANT INSERT ON taps.effects TO PUBLIC;
CREATE OR REPLACE FUNCTION taps.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO taps.written VALUES (NEW.id, NEW.aggregatetype || '.events', NEW.aggregateid);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION taps.note();
"""
EFFECT = """
INSERT INTO taps.effects (consumer, source, key, sequence, name, occurrence) VALUES ($1, $2, $3, $4, $5, $6)
"""
LETTERS = """
SELECT consumer, key, parked_at, EXISTS (
  SELECT FROM parked_keys AS p WHERE (p.consumer, p.topic, p.key) = (l.consumer, l.topic, l.key))
FROM dead_letters AS l ORDER BY id
"""
Connection = Union["asyncpg.Connection[Any]", "PoolConnectionProxy[Any]"]


class Written(msgspec.Struct, frozen=True):
    """Is an event that some transaction put into its outbox."""

    id: str
    topic: str
    key: str


class Effect(msgspec.Struct, frozen=True):
    """Is an event that some transaction handled."""

    consumer: str
    source: str
    key: str
    sequence: int
    name: str
    occurrence: str
    at: datetime


class Letter(msgspec.Struct, frozen=True):
    """Is a dead letter, and whether its key is parked with it."""

    consumer: str
    key: str
    parked_at: datetime
    holds_its_key: bool


async def lay(connection: Connection) -> None:
    """Begin to write down, in a database of any service, what is published and handled."""
    await connection.execute(TABLES)


async def written(connection: Connection) -> list[Written]:
    rows = await connection.fetch("SELECT id, topic, key FROM taps.written")
    return [Written(*row) for row in rows]


async def effects(connection: Connection) -> list[Effect]:
    """In the order in which they came about."""
    columns = ", ".join(Effect.__struct_fields__)
    rows = await connection.fetch(f"SELECT {columns} FROM taps.effects ORDER BY position")
    return [Effect(*row) for row in rows]


async def letters(connection: Connection) -> list[Letter]:
    rows = await connection.fetch(LETTERS)
    return [Letter(*row) for row in rows]


def note_effects(patch: Patch) -> None:
    """Have this process note each event that it handles, in the transaction that handles it."""
    handle = BatchProcessor._handle

    async def noting(self: BatchProcessor, tx: Tx, incoming: Sequence[Incoming]) -> None:
        await handle(self, tx, incoming)
        await tx.raw.executemany(EFFECT, [_row(self._name, each.event) for each in incoming if each.event])

    patch(BatchProcessor, "_handle", noting)


def _row(consumer: str, event: Event[Any]) -> tuple[Any, ...]:
    name = event.type if isinstance(event.data, Unread) else name_without_version(event.type)
    return consumer, event.source, event.key, event.sequence, name, event.occurrenceid
