"""A topic to be exported, and what an export holds."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pyarrow.parquet as pq
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from backbone.events.contracts import SCHEMAS, dataschema
from backbone.events.envelope import Envelope, parse_type, to_record
from backbone.ids import new_id
from backbone.values.brokers import Brokers
from cli.exporting.run import Result, export
from deployment.catalogue import sample_of
from local.program import python
from tests.integration.things import create_topic

TYPES = sorted(f"sliceline.{path.parent.name}.{path.stem}" for path in SCHEMAS.glob("*/*.v*.json"))
PLACED = "sliceline.orders.order-placed.v1"
Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)


def untold(done: int, total: int) -> None:
    """Nobody wants to know how far an export is."""


def event(event_type: str = PLACED, at: datetime = DAY, **changes: Any) -> Envelope:
    """An event with its golden sample as data."""
    whole = {
        "id": new_id(),
        "type": event_type,
        "source": f"/sliceline/{parse_type(event_type).service}",
        "subject": "a subject",
        "time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "dataschema": dataschema(event_type),
        "partitionkey": new_id(),
        "correlationid": new_id(),
        "occurrenceid": new_id(),
        "sequence": 1,
    }
    data = changes.pop("data", None) or orjson.dumps(sample_of(event_type))
    return Envelope(**{**whole, **changes}, data=data)


def days(count: int, of: int) -> list[Envelope]:
    """So many events on each of so many days."""
    return [event(at=DAY + timedelta(days=number % of, seconds=number)) for number in range(count * of)]


@dataclass
class Topic:
    """One topic of two partitions, and the folder it is exported to."""

    kafka: Brokers
    folder: Path
    name: str = field(default_factory=lambda: f"exported-{uuid4().hex[:8]}.events")

    async def publish(self, *events: Envelope) -> None:
        await self.send(*(to_record(each) for each in events))

    async def send(self, *records: Record) -> None:
        """What stands in a topic, whether it is an event or not."""
        async with self.producing() as producer:
            for number, (key, value, headers) in enumerate(records):
                await producer.send(self.name, key=key, value=value, headers=headers, partition=number % 2)
            await producer.flush()

    @asynccontextmanager
    async def producing(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(**self.kafka.client())
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self.kafka.client())
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def made_anew(self) -> None:
        async with self.admin() as admin:
            await admin.delete_topics([self.name])
        await create_topic(self.kafka, self.name, 2)

    async def export(self, since: str | None = None) -> Result:
        return await export(self.kafka, [self.name], self.folder, since, untold)

    def killed(self, step: int) -> int:
        """Export in a process of its own that kills itself before its `step`th write, commit or naming.

        Returns its exit code.
        """
        code = KILLED.format(step=step, name=self.name, folder=str(self.folder))
        return subprocess.run(python("-c", code), env={**os.environ, **self.kafka.environment()}).returncode

    def rows(self) -> list[Mapping[str, Any]]:
        """All rows of all files, each with its `day` and `type`."""
        return [row for path in sorted(self.folder.glob("day=*/type=*/*.parquet")) for row in _rows(path)]

    def ids(self) -> list[str]:
        return sorted(row["id"] for row in self.rows())

    def files(self) -> set[str]:
        """Whatever stands in the folder, and is not the account of it."""
        return {
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.is_file() and "ledger" not in path.name
        }


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from backbone.values.brokers import told_by
from cli.exporting import folder, reading, run
from cli.exporting.ledger import Ledger

steps = 0
def before(function):
    def step(*arguments):
        global steps
        steps += 1
        if steps == {step}:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return step

folder.ROWS, folder.LARGEST, reading.PIECE = 10, 30_000, 10
folder._write, Ledger.commit = before(folder._write), before(Ledger.commit)
Path.replace, folder.os.fsync = before(Path.replace), before(os.fsync)
asyncio.run(run.export(told_by(os.environ), [{name!r}], Path({folder!r}), None, lambda done, total: None))
"""


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    day, event_type = (part.partition("=")[2] for part in path.parts[-3:-1])
    for row in pq.ParquetFile(path).read().to_pylist():
        yield {**row, "day": day, "type": event_type}


async def topic_in(kafka: Brokers, folder: Path) -> Topic:
    made = Topic(kafka, folder)
    await create_topic(kafka, made.name, 2)
    return made
