"""An event that is too large for a topic travels without its data, which its readers fetch and verify."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from typer.testing import CliRunner

from backbone.consuming import claims, redrive
from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.redrive import KIND
from backbone.consuming.redriving import work
from backbone.consuming.settling import Settling
from backbone.context import Context
from backbone.events.dataref import LARGEST_INLINE, parse
from backbone.events.payload import Event, Payload
from backbone.jobs.worker import Worker
from backbone.publishing import refused
from backbone.running.pulse import Pulse
from backbone.settings import Settings
from backbone.storage import objects
from backbone.storage.database import Database, Tx
from backbone.storage.outbox import LARGEST, TooLarge
from backbone.values.brokers import Brokers
from cli.__main__ import app
from cli.running import Shop
from deployment.catalogue import sample_of
from local.layout import Layout
from services.ledger import archive
from services.ledger.service import SERVICE as LEDGER
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, fed
from tests.integration.relaying import outbox_is_empty, relay_of, sequences_by_key
from tests.integration.test_parking import Faulty, consumer_of, letters
from tests.integration.things import Things, client_of, running
from tests.waiting import eventually

TEXT = "a thousand slices "


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the store in use, which is empty."""
    folder = tmp_path_factory.mktemp("objects")
    monkeypatch.setattr(objects, "_address", folder.as_uri())
    return folder


def large(thing: Things, number: int, size: int = LARGEST_INLINE) -> Payload:
    """What a thing may say at such a length that it does not travel in the topic."""

    class LargeThing(Payload, frozen=True, kw_only=True):
        TYPE: ClassVar[str] = thing.payload.TYPE

        number: int
        text: str

    return LargeThing(number=number, text=(TEXT * (size // len(TEXT) + 1))[:size])


async def publish(thing: Things, key: str, *payloads: Payload) -> None:
    async with thing.database.transaction() as tx:
        for payload in payloads:
            tx.publish(payload, key=key)


def names(store: Path) -> list[str]:
    return sorted(str(each.relative_to(store)) for each in store.rglob("*.json"))


async def relayed(thing: Things, key: str, *payloads: Payload) -> None:
    """Publish these events, all the way into the topic."""
    await publish(thing, key, *payloads)
    async with running(relay_of(thing)):
        await eventually(lambda: outbox_is_empty(thing))


async def test_only_the_data_of_a_large_event_travels_apart_and_its_key_stays_in_order(
    thing: Things, store: Path
) -> None:
    await relayed(thing, "a", thing.happened(1), large(thing, 2), thing.happened(3))
    events = await thing.published(3)
    assert sequences_by_key(events) == {"a": [1, 2, 3]}
    assert [event.dataref for event in events] == [None, *names(store), None]
    assert events[1].data == b""
    reference = parse(names(store)[0])
    assert reference.name.startswith(f"{thing.name}/{thing.database.now().date()}/")
    reference.check((store / reference.name).read_bytes())
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: _effects(thing, 3))
    assert await thing.effects() == [("a", 1), ("a", 2), ("a", 3)]


async def test_a_reader_gets_a_large_event_with_its_data_in_a_batch_of_whatever_weight(
    thing: Things, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MOST_AT_ONCE", LARGEST_INLINE)
    sizes = dict[int, int]()

    class Told(Payload, frozen=True, kw_only=True):
        TYPE: ClassVar[str] = thing.payload.TYPE

        number: int
        text: str

    async def measure(event: Event[Any], tx: Tx) -> None:
        sizes[event.data.number] = len(event.data.text)
        await thing.note(event, tx)

    thing.payload = Told
    expected = {number: LARGEST_INLINE + number for number in range(9)}
    await relayed(thing, "a", *(large(thing, number, size) for number, size in expected.items()))
    async with running(consumer_of(thing, measure)):
        await eventually(lambda: _effects(thing, 9))
    assert sizes == expected
    assert [number for _, number in await thing.effects()] == [*range(9)]


async def test_an_event_that_is_no_fact_any_more_is_refused_where_it_is_published(thing: Things, store: Path) -> None:
    with pytest.raises(TooLarge, match=f"{LARGEST} are allowed"):
        await publish(thing, "a", large(thing, 1, LARGEST))
    await relayed(thing, "a", large(thing, 1, LARGEST - 100))
    assert len(names(store)) == 1


async def test_a_missing_object_parks_its_event_and_a_redrive_fetches_it_once_it_is_back(
    thing: Things, store: Path
) -> None:
    await relayed(thing, "bad", thing.happened(1), large(thing, 2), thing.happened(3))
    [lost] = names(store)
    kept = (store / lost).read_bytes()
    (store / lost).unlink()
    await relayed(thing, "good", large(thing, 1))
    async with running(consumer_of(thing, thing.note), redrives_of(thing)), client_of(thing, thing.note) as client:
        await eventually(lambda: _parked(thing, 2))
        await eventually(lambda: _effects(thing, 2))
        assert sorted(await thing.effects()) == [("bad", 1), ("good", 1)]
        [(_, _, first), (_, _, second)] = await letters(thing)
        assert first == f"Missing: The event's data is not in the object store: {lost} is missing."
        assert second is None
        assert await shown(client) == (first, "")
        assert await redriven(client, dry_run=True) == await redriven(client) == {"failed": 1, "held": 1}

        (store / lost).write_bytes(kept)
        said, payload = await shown(client)
        assert (said, payload["number"]) == ("It can be read.", 2)
        assert await redriven(client, dry_run=True) == await redriven(client) == {"applied": 2}
    assert await thing.effects("bad") == [("bad", 1), ("bad", 2), ("bad", 3)]


@pytest.mark.parametrize("spoilt", [b"", b"{}", b"x" * 10 * LARGEST], ids=["empty", "short", "endless"])
async def test_a_corrupt_object_parks_its_event_and_the_sound_one_in_its_place_is_handled(
    thing: Things, store: Path, spoilt: bytes
) -> None:
    await relayed(thing, "a", large(thing, 1))
    [name] = names(store)
    sound = (store / name).read_bytes()
    (store / name).write_bytes(spoilt)
    async with running(consumer_of(thing, thing.note)), client_of(thing, thing.note) as client:
        await eventually(lambda: _parked(thing, 1))
        assert str((await letters(thing))[0][2]).startswith(
            f"Corrupt: The event's data at {name} is {len(spoilt)} byte"
        )
        (store / name).write_bytes(sound)
        assert (await client.post("/dead-letters/redrive", json={})).json() == {"handled": 1}
    assert await thing.effects() == [("a", 1)]


async def test_data_at_a_foreign_address_is_not_fetched_and_parks_its_event(thing: Things, store: Path) -> None:
    await relayed(thing, "a", large(thing, 1))
    async with thing.reading() as consumer:
        record = await consumer.getone()
    foreign = [(name, b"file:///etc/passwd" if name == "ce_dataref" else value) for name, value in record.headers]
    foreign = [(name, b"other" if name == "ce_occurrenceid" else value) for name, value in foreign]
    async with thing.raw_producer() as producer:
        await producer.send_and_wait(thing.topic, key=record.key, value=None, headers=foreign)
    async with running(consumer_of(thing, thing.note)):
        await eventually(lambda: _parked(thing, 1))
        await eventually(lambda: _effects(thing, 1))
    assert "ForeignReference: The event's data lies at 'file:///etc/passwd'" in str((await letters(thing))[0][2])


async def test_a_store_that_is_away_is_waited_for_by_readers_and_nothing_is_parked(
    thing: Things, store: Path, sessions: list[object]
) -> None:
    await relayed(thing, "a", large(thing, 1), thing.happened(2))
    consumer = consumer_of(thing, thing.note)
    away = _renamed(store, store.with_name("away"))
    async with running(consumer):
        await eventually(lambda: "Unreachable" in (consumer.pulse.problem or ""))
        _renamed(away, store)
        await eventually(lambda: _effects(thing, 2))
    assert (await letters(thing), len(sessions)) == ([], 1)
    assert await thing.effects() == [("a", 1), ("a", 2)]


async def test_a_store_that_is_away_is_waited_for_by_the_relay_and_nothing_is_passed_over(
    thing: Things, store: Path
) -> None:
    away = _renamed(store, store.with_name("away"))
    await publish(thing, "a", thing.happened(1), large(thing, 2), thing.happened(3))
    relay = relay_of(thing)
    async with running(relay):
        assert sequences_by_key(await thing.published(1)) == {"a": [1]}
        await eventually(lambda: "Unreachable" in (relay.pulse.problem or ""))
        _renamed(away, store)
        assert sequences_by_key(await thing.published(3)) == {"a": [1, 2, 3]}
        await eventually(lambda: outbox_is_empty(thing))


async def test_the_relay_beats_whenever_it_has_put_what_is_put_at_once(
    thing: Things, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, relay, puts = objects.put, relay_of(thing), Counter[int]()

    async def counted(*given: Any) -> str:
        puts[relay.pulse.beats] += 1
        return await put(*given)

    monkeypatch.setattr(objects, "put", counted)
    count = 2 * objects.SIDE_BY_SIDE + 1
    for number in range(count):
        await publish(thing, "a", large(thing, number), thing.happened(number))
    async with running(relay):
        await eventually(lambda: outbox_is_empty(thing))
    assert sequences_by_key(await thing.published(2 * count)) == {"a": [*range(1, 2 * count + 1)]}
    assert sorted(puts.values()) == [1, objects.SIDE_BY_SIDE, objects.SIDE_BY_SIDE]


async def test_what_a_failing_store_has_taken_at_once_is_published_and_not_put_again(
    thing: Things, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, most, puts = objects.put, objects.SIDE_BY_SIDE, []

    async def limited(*given: Any) -> str:
        puts.append(given)
        if len(puts) > most:
            raise objects.Unreachable
        return await put(*given)

    monkeypatch.setattr(objects, "put", limited)
    await publish(thing, "a", *(large(thing, number) for number in range(most + 4)))
    relay = relay_of(thing)
    async with running(relay):
        await eventually(lambda: "Unreachable" in (relay.pulse.problem or ""))
        async with thing.database.transaction() as tx:
            assert await tx.raw.fetchval("SELECT count(*) FROM outbox") == 4
    assert sequences_by_key(await thing.published(most)) == {"a": [*range(1, most + 1)]}


async def test_without_a_store_a_large_event_is_set_aside_with_its_key_until_there_is_one(
    thing: Things, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = objects._address
    monkeypatch.setattr(objects, "_address", None)
    await publish(thing, "a", large(thing, 1), thing.happened(2))
    await publish(thing, "b", thing.happened(1))
    async with running(relay_of(thing)):
        assert sequences_by_key(await thing.published(1)) == {"b": [1]}
        await eventually(lambda: _refused(thing, 2))
        async with thing.database.transaction() as tx:
            assert "SLICELINE_OBJECTS" in await tx.raw.fetchval("SELECT max(error) FROM refused_events")
        objects.keep_in(address)
        assert await refused.retry(thing.database, "a") == 2
        assert sequences_by_key(await thing.published(3)) == {"a": [1, 2], "b": [1]}


async def test_an_event_that_was_fetched_is_parked_with_its_data(thing: Things, store: Path) -> None:
    faulty = Faulty(thing, 1)
    await relayed(thing, "a", large(thing, 1), large(thing, 2))
    async with running(consumer_of(thing, faulty)):
        await eventually(lambda: _parked(thing, 2))
    for name in names(store):
        (store / name).unlink()
    faulty.refused.clear()
    assert await redrive.redrive(thing.database, thing.name, thing.service(faulty).handlers) == 2
    assert await thing.effects() == [("a", 1), ("a", 2)]


async def test_an_event_is_archived_with_its_data_and_outlives_its_object(
    new_database: NewDatabase, store: Path
) -> None:
    placed = "sliceline.orders.order-placed.v1"
    async with fed(LEDGER, new_database) as ledger:
        record = ledger.record(placed, sample_of(placed))
        reference = await objects.put(record.value, "orders", ledger.database.now())
        headers = [*record.headers, ("ce_dataref", reference.encode())]
        without = replace(record, value=b"", headers=headers, timestamp=1_764_000_000_123)
        await settled(ledger.database, without)
        assert await objects.purge("orders", ledger.database.now() + timedelta(days=1), timedelta(0)) == 1
        event = dict(record.headers)["ce_id"].decode()
        kept = await archive.find(ledger.database, "/sliceline/orders", event)
        assert kept is not None
        assert (kept.value, kept.headers, kept.recorded_at is None) == (record.value, record.headers, False)
        assert (await ledger.client.get(f"/events/{event}")).json()["data"] == sample_of(placed)
        [replayed] = (await ledger.client.get("/records", params={"type": placed})).json()["events"]
        assert replayed["value"]


async def settled(database: Database, record: FakeRecord) -> None:
    """Settle a record as the ledger's consumer would."""
    processor = BatchProcessor(LEDGER.name, LEDGER.handlers, database)
    batch = Batch([read(record, processor.views)], {(record.topic, 0): (0, 1)})
    await Settling(processor, Pulse("consumer"), asyncio.Event(), lambda _: None).settle(batch)


async def test_events_are_shown_with_data_that_travels_apart(
    thing: Things, store: Path, kafka: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.events.running_shop", lambda: Shop("running", {}))
    layout = Layout(0, None, kafka, objects_url=store.as_uri())
    monkeypatch.setattr("cli.events.layout_for", lambda _: layout)
    for user in ("events", "running"):
        monkeypatch.setattr(f"cli.{user}.CATALOGUE", {thing.name: 8000})
    await relayed(thing, "a", large(thing, 1))
    said = await asyncio.to_thread(CliRunner().invoke, app, ["events", thing.name])
    assert (said.exit_code, TEXT * 3 in said.output) == (0, True), said.output
    (store / names(store)[0]).unlink()
    said = await asyncio.to_thread(CliRunner().invoke, app, ["events", thing.name])
    assert (said.exit_code, "is not in the object store" in said.output) == (0, True), said.output


def redrives_of(thing: Things) -> Worker:
    """What goes on with redrives."""
    settings = Settings(database_url="postgresql://unused")
    return Worker(KIND, work(thing.name, thing.service(thing.note).handlers), Context(settings, thing.database))


async def shown(client: httpx.AsyncClient) -> tuple[str, Any]:
    """Whether the oldest letter can be read now, and its payload."""
    [letter, *_] = (await client.get("/dead-letters")).json()["items"]
    page = (await client.get(f"/dead-letters/{letter['id']}")).json()
    return page["reads_now"], page["payload"]


async def redriven(client: httpx.AsyncClient, **plan: Any) -> dict[str, int]:
    """What came of the letters of a plan that takes all."""
    answer = await client.post("/redrives", json={"all": True, "on_failure": "continue", **plan})
    assert answer.status_code == 202, answer.text

    async def ended() -> Any:
        report = (await client.get(answer.headers["Location"])).json()
        return report if report["state"] != "running" else None

    report = await eventually(ended)
    return {outcome: count for outcome, count in report["outcomes"].items() if count}


def _renamed(folder: Path, to: Path) -> Path:
    return folder.rename(to)


async def _effects(thing: Things, count: int) -> bool:
    return len(await thing.effects()) >= count


async def _parked(thing: Things, count: int) -> bool:
    return len(await letters(thing)) == count


async def _refused(thing: Things, count: int) -> bool:
    async with thing.database.transaction() as tx:
        return bool(await tx.raw.fetchval("SELECT count(*) = $1 FROM refused_events", count))
