"""An export holds every event of the topics once, typed by its contract, whatever stands there and is killed."""

import asyncio
import signal
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete
from msgspec.structs import replace

from backbone.events.dataref import reference_to
from backbone.events.envelope import to_record
from backbone.storage import objects
from backbone.values.brokers import Brokers
from cli.exporting import folder as writing
from cli.exporting.folder import NotOurs
from cli.exporting.ledger import InUse, Ledger
from deployment.catalogue import sample_of
from tests.exporting import DAY, PLACED, TYPES, Topic, days, event, topic_in
from tests.integration.test_parking import send_raw


@pytest.fixture
async def topic(kafka: Brokers, tmp_path: Path) -> Topic:
    return await topic_in(kafka, tmp_path / "folder")


async def test_an_event_of_every_contract_is_there_with_its_attributes_and_its_data_typed(topic: Topic) -> None:
    sent = {event_type: event(event_type) for event_type in TYPES}
    await topic.publish(*sent.values())
    result = await topic.export()

    rows = {row["type"]: row for row in topic.rows()}
    assert (result.events, result.unknown, set(rows)) == (len(TYPES), 0, set(TYPES))
    assert (rows[PLACED]["raw"], len([row for row in rows.values() if row["raw"] is None]) > 20) == (None, True)
    for event_type, envelope in sent.items():
        row = rows[event_type]
        if row["raw"] is None:
            assert _without_nulls(row["data"]) == _without_nulls(sample_of(event_type))
        else:  # its contract leaves a field open
            assert row["raw"] == envelope.data
        assert (row["problem"], row["day"]) == (None, "2026-11-20")
        assert (row["time"], row["topic"]) == (DAY, topic.name)
        assert row["arrived"] > DAY
        for name in ("id", "source", "subject", "partitionkey", "correlationid", "occurrenceid", "sequence"):
            assert row[name] == getattr(envelope, name)
    assert {(row["partition"], row["offset"]) for row in rows.values()} == {
        (number % 2, number // 2) for number in range(len(TYPES))
    }


def _without_nulls(value: object) -> object:
    """A field that is not there is null in a column."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


async def test_data_that_travels_apart_is_there_and_what_is_not_to_be_had_is_told(
    topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_address", tmp_path.as_uri())
    there, lost = event(PLACED), event(PLACED)
    reference = await objects.put(there.data, "orders", DAY)
    gone = reference_to(b"gone", "orders", DAY.date())
    await topic.publish(replace(there, data=b"", dataref=reference), replace(lost, data=b"", dataref=gone))
    await topic.export()
    rows = {row["id"]: row for row in topic.rows()}
    assert rows[there.id]["problem"] is None
    assert _without_nulls(rows[there.id]["data"]) == _without_nulls(sample_of(PLACED))
    assert (rows[lost.id]["problem"], rows[lost.id]["data"]) == (
        f"its data lies at {gone}, and was not to be had",
        None,
    )
    monkeypatch.setattr(objects, "_address", (tmp_path / "away").as_uri())
    await topic.publish(replace(event(PLACED), data=b"", dataref=reference))
    with pytest.raises(objects.Unreachable):
        await topic.export()


async def test_events_stand_in_folders_by_the_day_they_happened_on(topic: Topic) -> None:
    await topic.publish(*days(3, of=2), event(at=datetime.fromisoformat("2026-11-20T23:59:59.999999-01:00")))
    await topic.export()
    assert {(row["day"], row["time"].strftime("%Y-%m-%d")) for row in topic.rows()} == {
        (day, day) for day in ("2026-11-20", "2026-11-21")
    }


async def test_a_later_export_adds_only_what_is_new(topic: Topic) -> None:
    first, second = days(5, of=1), days(5, of=1)
    await topic.publish(*first)
    assert (await topic.export()).events == 5
    before = topic.files()
    await topic.publish(*second)
    assert (await topic.export()).events == 5
    assert topic.ids() == sorted(each.id for each in first + second)
    assert before < topic.files()
    assert (await topic.export()).files == 0


async def test_an_event_that_was_published_twice_is_there_once(topic: Topic) -> None:
    one, other = event(), event()
    await topic.publish(one, other, one)
    first = await topic.export()
    await topic.publish(other, one)
    again = await topic.export()
    assert (first.events, first.repeated, again.events, again.repeated) == (2, 1, 0, 2)
    assert topic.ids() == sorted([one.id, other.id])


async def test_events_of_one_id_from_two_sources_are_two(topic: Topic) -> None:
    one = event()
    await topic.publish(one, event(id=one.id, source="/sliceline/elsewhere"))
    assert (await topic.export()).events == 2


@pytest.mark.long
async def test_an_export_that_is_killed_again_and_again_ends_with_each_event_once(topic: Topic) -> None:
    sent = days(40, of=2)
    await topic.publish(*sent)
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        step += 1
        code = await asyncio.to_thread(topic.killed, step)
        seen = topic.ids()  # every file that has its name is whole
        assert len(seen) == len(set(seen))
    assert (code, step > 10) == (0, True)
    assert seen == sorted(each.id for each in sent)
    assert {path.split("/")[0] for path in topic.files()} == {"day=2026-11-20", "day=2026-11-21"}


async def test_since_leaves_out_what_happened_before_and_a_later_export_can_reach_back(topic: Topic) -> None:
    old, new = event(at=DAY), event(at=DAY + timedelta(seconds=1))
    await topic.publish(old, new)
    limit = "2026-11-20T12:00:00.500000Z"
    assert (await topic.export(limit)).events == 1
    assert topic.ids() == [new.id]
    assert (await topic.export("2026-11-21T00:00:00.000000Z")).since == limit  # no gap in what is there
    back = await topic.export("2026-11-20T00:00:00.000000Z")
    assert (back.events, back.repeated) == (1, 1)
    assert topic.ids() == sorted([old.id, new.id])


async def test_an_export_without_since_adds_what_one_before_left_out(topic: Topic) -> None:
    old, new = event(at=DAY), event(at=DAY + timedelta(seconds=1))
    await topic.publish(old, new)
    assert (await topic.export("2026-11-20T12:00:00.500000Z")).events == 1
    everything = await topic.export()
    assert (everything.since, everything.events, everything.repeated) == ("", 1, 1)
    assert topic.ids() == sorted([old.id, new.id])
    later = await topic.export("2026-11-21T00:00:00.000000Z")
    assert (later.since, later.events, later.repeated) == ("", 0, 0)


async def test_data_that_breaks_its_contract_is_kept_as_it_came_with_the_reason(topic: Topic) -> None:
    await topic.publish(event(data=b'{"order": 5}'), event(data=b"no JSON \xff"))
    await topic.export()
    broken, garbage = sorted(topic.rows(), key=lambda row: row["partition"])
    assert (broken["data"], broken["raw"], garbage["raw"]) == (None, b'{"order": 5}', b"no JSON \xff")
    assert "does not fit its schema" in broken["problem"]
    assert {broken["type"], garbage["type"]} == {PLACED}


async def test_data_that_says_more_than_its_contract_is_kept_whole_beside_the_columns(topic: Topic) -> None:
    more = orjson.dumps({**sample_of(PLACED), "mood": "hungry"})
    await topic.publish(event(data=more))
    await topic.export()
    [row] = topic.rows()
    assert (row["raw"], row["problem"], row["data"]["order"]) == (more, None, sample_of(PLACED)["order"])


async def test_records_that_are_no_event_with_a_contract_are_kept_as_they_came(topic: Topic) -> None:
    key, value, headers = to_record(event("sliceline.nobody.knows-it.v1", data=b"{}"))
    await topic.send((key, value, headers), (b"a key", None, [("ce_id", b"5")]), (None, b"\x00", []))
    await topic.publish(event())
    result = await topic.export()
    assert (result.events, result.unknown) == (4, 3)
    rows = {row["value"]: row for row in topic.rows() if row["type"] == "unknown"}
    assert rows[b"{}"]["eventtype"] == "sliceline.nobody.knows-it.v1"
    assert rows[None]["headers"] == [{"name": "ce_id", "value": b"5"}]
    assert (rows[None]["key"], rows[b"\x00"]["key"]) == (b"a key", None)
    assert all(row["problem"] for row in rows.values())
    assert (await topic.export()).events == 0


async def test_a_record_that_the_client_cannot_take_apart_is_told_of_and_loses_nothing_else(topic: Topic) -> None:
    before, batched, after = event(), event(), event()
    key, value, headers = to_record(batched)
    await topic.publish(before)
    async with topic.producing() as producer:
        await send_raw(producer, topic.name, [(key, value, [*headers]), (b"a", b"{}", [("tampered", b"1")])])
    await topic.publish(after)
    await topic.export()
    rows = {row["id"]: row for row in topic.rows()}
    assert rows.keys() == {before.id, batched.id, after.id, None}
    assert (rows[None]["offset"], "cannot take it apart" in rows[None]["problem"]) == (2, True)
    assert (await topic.export()).events == 0


async def test_a_topic_that_is_made_anew_is_read_from_its_beginning(topic: Topic) -> None:
    old, new = days(4, of=1), days(3, of=1)
    await topic.publish(*old)
    await topic.export()
    await topic.made_anew()
    await topic.publish(*new, old[0])
    result = await topic.export()
    assert (result.events, result.repeated) == (3, 1)
    assert topic.ids() == sorted(each.id for each in old + new)


async def test_an_export_tells_how_much_was_deleted_before_it_came(topic: Topic) -> None:
    await topic.publish(*days(2, of=1))
    await topic.export()
    await topic.publish(*days(6, of=1))
    async with topic.admin() as admin:
        gone = {TopicPartition(topic.name, number): RecordsToDelete(before_offset=3) for number in range(2)}
        await admin.delete_records(gone)
    result = await topic.export()
    assert (result.events, result.gone) == (2, 4)


async def test_what_is_gathered_is_written_as_soon_as_it_is_large(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "ROWS", 10)
    monkeypatch.setattr(writing, "LARGEST", 30_000)
    monkeypatch.setattr("cli.exporting.reading.PIECE", 10)
    held: list[int] = []
    write = writing.Folder.write

    def watched(self: writing.Folder, chunk: writing.Chunk, places: object) -> int:
        held.append(chunk.size)
        return write(self, chunk, places)  # type: ignore[arg-type]

    monkeypatch.setattr(writing.Folder, "write", watched)
    await topic.publish(*days(300, of=1))
    await topic.export()
    assert len(held) > 5
    assert max(held) < 2 * 30_000
    assert len(topic.ids()) == 300


async def test_two_exports_do_not_write_to_one_folder_at_once(topic: Topic) -> None:
    await topic.export()
    other = Ledger(topic.folder / "_sliceline" / "ledger.sqlite")
    with pytest.raises(InUse):
        await topic.export()
    other.close()
    assert (await topic.export()).events == 0


async def test_an_export_without_its_account_is_not_added_to(topic: Topic) -> None:
    (topic.folder / "day=2026-11-20").mkdir(parents=True)
    with pytest.raises(NotOurs):
        await topic.export()
    assert [path.name for path in topic.folder.iterdir()] == ["day=2026-11-20"]
