"""What a service tells of events that others have seen: handled, parked, held, discarded, passed, to come, not read."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from backbone.consuming import sql
from backbone.consuming.batch import Batch, Incoming, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.settling import Settling
from backbone.errors import SlicelineError
from backbone.ids import new_id
from backbone.running.pulse import Pulse
from backbone.storage.database import Tx
from deployment.catalogue import sample_of
from services.loyalty.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, Fed, fed

COMPLETED, PLACED = "sliceline.orders.order-completed.v1", "sliceline.orders.order-placed.v1"


class BoomError(SlicelineError):
    """Something that no retry can help."""


class Stumbling(BatchProcessor):
    """Fails a few times before it handles anything."""

    def __init__(self, service: Fed, *faults: Exception) -> None:
        super().__init__(SERVICE.name, SERVICE.handlers, service.database)
        self.faults = list(faults)

    async def _handle(self, tx: Tx, incoming: Sequence[Incoming]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        await super()._handle(tx, incoming)

    async def settle(self, batch: Batch) -> None:
        await Settling(self, Pulse("consumer"), asyncio.Event(), lambda _: None).settle(batch)


def told(record: FakeRecord, offset: int) -> dict[str, Any]:
    attributes = dict(record.headers)
    names = ("id", "source", "type", "occurrenceid", "correlationid")
    said = {name: attributes[f"ce_{name}"].decode() for name in names}
    return {**said, "topic": record.topic, "partition": 0, "offset": offset}


async def test_what_became_of_each_event_is_told_with_the_attempts_that_it_took(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "INBOX_ADD_TRIED", None)  # what passes at the first attempt does without
    async with fed(SERVICE, new_database) as loyalty:
        keys = [new_id(), *[new_id()] * 2, *(new_id() for _ in range(4))]
        records = [loyalty.record(COMPLETED, {**sample_of(COMPLETED), "order": key}) for key in keys]
        processor = BatchProcessor(SERVICE.name, SERVICE.handlers, loyalty.database)

        def alone(at: int) -> Batch:
            record = FakeRecord(records[at].topic, at, records[at].key, records[at].value, records[at].headers)
            return Batch([read(record, processor.views)], {(record.topic, 0): (at, at + 1)})

        await processor.apply(alone(0))
        await processor.park(alone(1), BoomError("no"))
        await processor.apply(alone(2))
        await processor.park(alone(3), BoomError("never"))
        await processor.apply(alone(4))
        async with loyalty.database.transaction() as tx:
            letter = await tx.raw.fetchval('SELECT id FROM dead_letters WHERE "offset" = 3')
            await tx.raw.execute("DELETE FROM inbox WHERE occurrence = $1", told(records[4], 4)["occurrenceid"])
        discarded = await loyalty.client.post(f"/dead-letters/{letter}/discard", json={"reason": "it is broken"})
        assert discarded.status_code == 200
        asked = [told(each, at) for at, each in enumerate(records)]
        asked.append(told(loyalty.record(PLACED, sample_of(PLACED)), 0))
        answer = await loyalty.client.post("/outcomes", json={"events": asked})
        assert answer.status_code == 200, answer.text
        found = answer.json()["outcomes"]
        assert [(each["state"], each["error"]) for each in found] == [
            ("handled", None),
            ("parked", "BoomError: no"),
            ("held", None),
            ("discarded", "BoomError: never"),
            ("passed", None),
            ("to come", None),
            ("to come", None),
            ("not read", None),
        ]
        assert found[0]["began_at"] < found[0]["handled_at"]
        assert [(each["attempts"], errors_of(each)) for each in found[:4]] == [
            (1, []),
            (1, [("BoomError: no", 1)]),
            (0, []),
            (1, [("BoomError: never", 1)]),
        ]

        monkeypatch.undo()
        batch = alone(5)
        two = Batch([*batch.incoming, *alone(6).incoming], {(records[5].topic, 0): (5, 7)})
        await Stumbling(loyalty, OSError("nobody\x00 there"), BoomError("of one")).settle(two)
        redriven = await loyalty.client.post("/dead-letters/redrive", json={})
        assert redriven.json() == {"handled": 2}
        answer = await loyalty.client.post("/outcomes", json={"events": [asked[at] for at in (1, 2, 5, 6)]})
        found = answer.json()["outcomes"]
        both = (3, [("OSError: nobody\\x00 there", 2), ("BoomError: of one", 2)])
        assert [(each["attempts"], errors_of(each)) for each in found] == [
            (2, [("BoomError: no", 1)]),
            (1, []),
            both,
            both,
        ]
        assert {each["state"] for each in found} == {"handled"}


def errors_of(outcome: dict[str, Any]) -> list[tuple[str, int]]:
    return [(each["error"], each["together"]) for each in outcome["errors"]]


async def test_jobs_that_the_same_command_has_set_off_are_told_with_their_attempts(new_database: NewDatabase) -> None:
    async with fed(SERVICE, new_database) as loyalty:
        event = told(loyalty.record(COMPLETED, sample_of(COMPLETED)), 0)
        columns, values = "kind, key, data, due, attempts, error, correlationid", "$1, $1, '{}', now(), 3, 'no', $2"
        insert = f"INSERT INTO jobs ({columns}) VALUES ({values})"
        async with loyalty.database.transaction() as tx:
            await tx.raw.execute(insert, "charge", event["correlationid"])
            await tx.raw.execute(insert, "other", new_id())
            columns, values = "kind, key, attempts, error, correlationid", "$1, $1, 2, 'away', $2"
            insert = f"INSERT INTO retried_jobs ({columns}) VALUES ({values})"
            await tx.raw.execute(insert, "send", event["correlationid"])
            await tx.raw.execute(insert, "other", new_id())
        answer = (await loyalty.client.post("/outcomes", json={"events": [event]})).json()
        [job], [retried] = answer["jobs"], answer["retried"]
        assert (job["kind"], job["attempts"], job["error"]) == ("charge", 3, "no")
        assert (retried["kind"], retried["attempts"], retried["error"]) == ("send", 2, "away")


async def test_an_event_that_cannot_be_is_refused_by_its_field(new_database: NewDatabase) -> None:
    async with fed(SERVICE, new_database) as loyalty:
        event = told(loyalty.record(COMPLETED, sample_of(COMPLETED)), 0)
        for field, value in (("offset", -1), ("topic", "a b"), ("id", ""), ("partition", "0")):
            refused = await loyalty.client.post("/outcomes", json={"events": [{**event, field: value}]})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, f"events.0.{field}")
