"""One partition's log without Kafka, read by a service as its consumer would read it, and read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

from fastapi import APIRouter

from backbone.consuming import sql
from backbone.consuming.batch import Batch, Letter, read
from backbone.consuming.batch_processor import BatchProcessor, Fenced
from backbone.consuming.handlers import BatchHandler
from backbone.consuming.replaying import Archived, as_archived
from backbone.consuming.reread import reread
from backbone.events.payload import Event, Payload
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Tx
from deployment.catalogue import sample_of
from tests.integration.one_service import FakeRecord, Fed

COMPLETED, PLACED = "sliceline.orders.order-completed.v1", "sliceline.orders.order-placed.v1"
V1, V2 = "sliceline.orders.order-confirmed.v1", "sliceline.orders.order-confirmed.v2"
WRONG = set[str]()
"""Orders that cannot be handled until somebody mends it."""


class Completed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = COMPLETED
    order: str


class ConfirmedOnce(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = V1
    order: str


class ConfirmedTwice(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = V2
    order: str


async def note(events: Sequence[Event[Any]], tx: Tx) -> None:
    """Have no effect, but on those that are wrong."""
    if any(event.data.order in WRONG for event in events):
        raise ValueError("not this one")


NOTE = BatchHandler(note)
LISTENS = {Completed: NOTE, ConfirmedOnce: NOTE, ConfirmedTwice: NOTE}
# Any name will do that has a database of its own.
LISTENER: Service[Any] = Service("loyalty", Settings, APIRouter(), handlers=LISTENS)


COUNTED = ("applied", "ignored", "repeated", "parked", "held", "discarded")


@dataclass
class OneLog:
    """The records of a topic's partition, in the order of their offsets."""

    topic: str
    records: list[FakeRecord] = field(default_factory=list)
    id: UUID = field(default_factory=uuid4)

    def append(self, *records: FakeRecord) -> None:
        for each in records:
            self.records.append(replace(each, topic=self.topic, offset=len(self.records)))


@dataclass
class Reader:
    """A service that reads a log."""

    service: Fed
    log: OneLog

    @property
    def name(self) -> str:
        return self.service.service.name

    async def take(self, at: int) -> None:
        """Take the place in the log, as after a rebalance: at this offset where it has none, or is to begin anew."""
        row = await self._place()
        was = row["next_offset"] if row else None
        goes_on = at if was is None or was == sql.ANEW or (row and row["log"] != self.log.id) else was
        async with self.service.database.transaction() as tx:
            place = [(self.log.topic, 0, was, goes_on, self.log.id, 0)]
            taken = await sql.OFFSETS_PLACE.fetch(tx.raw, consumer=self.name, place=place)
            if taken[0]["counts_anew"]:
                await sql.COUNTS_CLEAR.execute(tx.raw, consumer=self.name, place=[(self.log.topic, 0)])

    async def read(self, up_to: int | None = None) -> None:
        """Read on to the end, or up to an offset; what fails is halved, and parked when it stands alone."""
        row = await self._place()
        if row is None:
            await self.take(0)
            row = await self._place()
        start, end = row["next_offset"], len(self.log.records) if up_to is None else up_to
        if start < end:
            incoming = [read(each, self.processor.views) for each in self.log.records[start:end]]
            await self._settle(Batch(incoming, {(self.log.topic, 0): (start, end)}))

    async def reread(self, at: int = 0) -> None:
        """Read all of the log again."""
        await reread(self.service.database, self.name, self.log.topic)
        await self.take(at)
        await self.read()

    async def handled(self) -> Mapping[str, Mapping[str, int]]:
        """What the service tells of the log, by type: without what is zero."""
        counts = [each for each in (await self._told())["counts"] if each["topic"] == self.log.topic]
        return {each["type"]: {name: each[name] for name in COUNTED if each[name]} for each in counts}

    async def place(self) -> Mapping[str, Any]:
        """Where the service says it is."""
        (place,) = (await self._told())["places"]
        return dict(place)

    async def _told(self) -> Mapping[str, Any]:
        (told,) = (await self.service.client.get("/handled")).json()["consumers"]
        return dict(told)

    async def states(self) -> list[str]:
        """What the service tells of each event in the log."""
        named = ("id", "source", "type", "occurrenceid", "correlationid")
        events = [
            {name: str(dict(each.headers)[f"ce_{name}"], "ascii") for name in named}
            | {"topic": self.log.topic, "partition": 0, "offset": each.offset}
            for each in self.log.records
        ]
        answer = await self.service.client.post("/outcomes", json={"events": events})
        return [each["state"] for each in answer.json()["outcomes"]]

    def archived(self) -> list[Archived]:
        """The records as a replay feeds them."""
        now = self.service.database.now()
        return [
            as_archived(Letter(each.topic, 0, each.offset, each.key, each.value, each.headers), now)
            for each in self.log.records
        ]

    @property
    def processor(self) -> BatchProcessor:
        return BatchProcessor(self.name, self.service.service.handlers, self.service.database)

    async def _settle(self, batch: Batch) -> None:
        try:
            await self.processor.apply(batch)
        except Fenced:
            raise
        except Exception as error:
            if len(batch.incoming) == 1:
                await self.processor.park(batch, error)
                return
            for half in batch.halves():
                await self._settle(half)

    async def _place(self) -> Any:
        query = "SELECT next_offset, log FROM consumer_offsets WHERE consumer = $1 AND topic = $2"
        rows = await self.service.database.fetch(query, self.name, self.log.topic)
        return rows[0] if rows else None


def happened(service: Fed, event_type: str, order: str) -> FakeRecord:
    return service.record(event_type, {**sample_of(event_type), "order": order})


def confirmed(service: Fed, order: str) -> list[FakeRecord]:
    """Both versions of one happening."""
    first, second = (happened(service, each, order) for each in (V1, V2))
    occurrence = dict(first.headers)["ce_occurrenceid"]
    second.headers[:] = [(name, occurrence if name == "ce_occurrenceid" else had) for name, had in second.headers]
    return [first, second]
