"""`./sliceline heal`: a database from an older backup, and topics that were lost, are made good from the archive."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from backbone.consuming.consumer import Consumer
from backbone.observing import metrics
from backbone.publishing.relay import Relay
from cli.__main__ import app
from cli.feeding import Ends, Wanted, feed
from services.ledger.service import SERVICE as LEDGER
from services.loyalty.service import SERVICE as LOYALTY
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, Fed, fed, serving
from tests.integration.standing_in import standing_in_for
from tests.integration.test_places import delete_topic, make_topic
from tests.integration.test_replaying import completed
from tests.integration.things import Things, running
from tests.waiting import eventually


@contextmanager
def copied(postgres: str, url: str) -> Iterator[str]:
    """The address of a copy of a database: the backup, put back."""
    name = f"{url.rpartition('/')[2]}_restored"
    asyncio.run(_execute(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{url.rpartition("/")[2]}"'))
    yield f"{url.rpartition('/')[0]}/{name}"
    asyncio.run(_execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def handle(url: str, records: Sequence[FakeRecord]) -> None:
    async with fed(LOYALTY, lambda _: url) as loyalty:
        await loyalty.deliver(*records)


async def relayed(url: str, ledger: Fed) -> None:
    """Empty an outbox into the archive, as relay and ledger would."""
    rows = await _execute(
        url,
        "DELETE FROM outbox RETURNING "
        "type, payload, aggregateid, causationid, correlationid, sequence, id, occurrenceid",
    )
    for event_type, payload, key, cause, story, sequence, event, occurrence in rows:
        record = ledger.record(event_type, {"order": "", **json.loads(payload)}, story)
        own = {"id": event, "partitionkey": key, "occurrenceid": occurrence, "sequence": f"{sequence:020}"}
        headers = [(name, value) for name, value in record.headers if name.removeprefix("ce_") not in own]
        headers += [(f"ce_{name}", value.encode()) for name, value in {**own, "causationid": cause}.items()]
        await ledger.deliver(FakeRecord(record.topic, sequence, key.encode(), payload.encode(), headers))


def test_a_database_from_an_older_backup_is_level_again_and_gives_no_number_twice(
    new_database: NewDatabase, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    monkeypatch.setattr("cli.heal.SETTLED", 0)
    metrics.LAG.clear()  # of consumers that other tests had in this process
    live, archive = new_database("loyalty"), new_database("ledger")

    async def first_half() -> list[FakeRecord]:
        async with fed(LEDGER, lambda _: archive) as ledger:
            records = [ledger.record(*completed("ada")) for _ in range(6)]
            await ledger.deliver(*records)
            await handle(live, records[:3])
            await relayed(live, ledger)
        return records

    async def second_half(records: Sequence[FakeRecord]) -> None:
        async with fed(LEDGER, lambda _: archive) as ledger:
            await handle(live, records[3:])
            await relayed(live, ledger)

    records = asyncio.run(first_half())
    with copied(postgres, live) as restored:
        asyncio.run(second_half(records))
        with (
            serving(LEDGER, archive) as ledger,
            serving(LOYALTY, restored) as loyalty,
            standing_in_for(tmp_path, {"ledger": ledger, "loyalty": loyalty}),
        ):
            healed = CliRunner().invoke(app, ["heal", "loyalty"])
            assert healed.exit_code == 0, healed.output
            again = CliRunner().invoke(app, ["heal", "loyalty"])
        assert "loyalty: 3 missed events applied, 3 had been; counts on for 1 keys" in healed.output
        assert "loyalty: 0 missed events applied, 6 had been." in again.output
        same = "SELECT points, balance, order_id FROM entries ORDER BY number"
        assert asyncio.run(_execute(restored, same)) == asyncio.run(_execute(live, same))
        assert asyncio.run(_execute(restored, "SELECT FROM outbox")) == []  # what it had published before
        paused = "SELECT count(*), count(resumed_at) FROM pauses"
        assert asyncio.run(_execute(restored, paused)) == [(2, 2)]  # the consumer waited, and goes on
        asyncio.run(handle(restored, [_another(records)]))
        assert asyncio.run(_execute(restored, "SELECT sequence FROM outbox")) == [(7,)]


def _another(records: Sequence[FakeRecord]) -> FakeRecord:
    """One more event, of an occurrence of its own."""
    headers = [
        (name, b"another" if name in ("ce_id", "ce_occurrenceid") else value) for name, value in records[0].headers
    ]
    return FakeRecord(records[0].topic, 0, records[0].key, records[0].value, headers)


@pytest.fixture
async def archive(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "ledger")


async def test_what_a_lost_kafka_held_is_fed_from_the_archive_to_those_who_had_not_handled_it(
    thing: Things, archive: str
) -> None:
    await thing.publish("a", 0, 1, 2)
    consumer = Consumer(thing.name, thing.service(thing.note).handlers, thing.database, thing.kafka)
    async with running(Relay(thing.database, thing.kafka, poll=0.05), consumer):
        await eventually(lambda: _has(thing, 3))
    await thing.publish("a", 3, 4)
    async with running(Relay(thing.database, thing.kafka, poll=0.05)):
        await thing.published(5)
    await _keep(thing, archive)
    await delete_topic(thing)
    await make_topic(thing)
    url = thing.database._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    consumer = Consumer(thing.name, thing.service(thing.note).handlers, thing.database, thing.kafka)
    with serving(LEDGER, archive) as ledger, serving(thing.service(thing.note), url) as service:
        async with running(Relay(thing.database, thing.kafka, poll=0.05), consumer):
            outcomes = await asyncio.to_thread(_fed, ledger, service, thing)
            assert outcomes == {"applied": 2, "known": 3}
            await thing.publish("a", 5)
            await eventually(lambda: _has(thing, 6))
    assert await thing.effects() == [("a", number) for number in range(6)]
    assert [each.sequence for each in await thing.published(1)] == [6]


async def _has(thing: Things, count: int) -> bool:
    return len(await thing.effects()) == count


async def _keep(thing: Things, archive: str) -> None:
    """Have the archive keep what the topic holds."""
    async with thing.reading() as reading, fed(LEDGER, lambda _: archive) as ledger:
        kept = 0
        while kept < 5:
            for records in (await reading.getmany(timeout_ms=200)).values():
                for record in records:
                    assert record.key is not None
                    assert record.value is not None
                    headers = list(record.headers)
                    await ledger.deliver(FakeRecord("orders.events", record.offset, record.key, record.value, headers))
                    kept += 1
    await _execute(archive, f"UPDATE events SET topic = '{thing.topic}'")


def _fed(ledger: str, service: str, thing: Things) -> dict[str, int]:
    with httpx.Client(base_url=ledger) as archive, httpx.Client(base_url=service) as client:
        both = Ends(archive, client, thing.name)
        found = feed(both, Wanted(thing.name, tuple(both.readable()["types"])), apply=True, rate=None)
    return {name: count for name, count in found.items() if count}
