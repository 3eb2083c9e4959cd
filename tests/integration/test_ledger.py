"""The ledger on a real database: every event is kept once and byte for byte, and found again."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.consumer import Consumer
from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.context import Context
from backbone.errors import SlicelineError
from backbone.events.payload import every_record_of
from backbone.ids import new_id
from backbone.jobs.work import Done, Job
from backbone.storage.database import Database
from backbone.version import VERSION
from deployment.catalogue import sample_of
from services.ledger import archive, catalogue_api, jobs, releases, remembered, store
from services.ledger.asking import Services
from services.ledger.consumers import keep
from services.ledger.jobs import PARTITION
from services.ledger.releases import RELEASES, Form
from services.ledger.service import SERVICE
from services.ledger.settings import Settings
from services.loyalty.service import SERVICE as LOYALTY
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, Fed, fed, serving
from tests.integration.test_parking import record_of, send
from tests.integration.things import Things, running
from tests.waiting import eventually

PLACED, V1, V2, COMPLETED = (
    f"sliceline.orders.order-{event}" for event in ("placed.v1", "confirmed.v1", "confirmed.v2", "completed.v1")
)
RESERVED = "sliceline.inventory.stock-reserved.v1"


@pytest.fixture
async def ledger(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as opened:
        yield opened


def changed(record: FakeRecord, **attributes: str) -> FakeRecord:
    """The record with other attributes."""
    own = {f"ce_{name}": value.encode() for name, value in attributes.items()}
    return replace(record, headers=[(name, own.get(name, value)) for name, value in record.headers])


def attribute(record: FakeRecord, name: str) -> str:
    return dict(record.headers)[f"ce_{name}"].decode()


async def listed(ledger: Fed, /, **asked: Any) -> dict[str, Any]:
    answer = await ledger.client.get("/events", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ids(ledger: Fed, /, **asked: Any) -> list[str]:
    return [each["id"] for each in (await listed(ledger, **asked))["items"]]


async def test_every_event_is_kept_once_in_each_version_and_by_whatever_replica(ledger: Fed) -> None:
    first, second = ledger.record(V1, sample_of(V1)), ledger.record(V2, sample_of(V2))
    second = changed(second, occurrenceid=attribute(first, "occurrenceid"))
    unknown = changed(first, id=new_id(), type="com.example.something-new")
    twin = changed(first, id=new_id())  # tells of the same, and is another event all the same
    every = [first, second, unknown, twin]
    await ledger.deliver(*every, *every)
    await ledger.deliver(*every)
    async with ledger.database.transaction() as tx:  # an inbox that forgot changes nothing
        await tx.raw.execute("DELETE FROM inbox")
    await asyncio.gather(ledger.deliver(*every, partition=1), ledger.deliver(*reversed(every), partition=2))
    assert sorted(await ids(ledger)) == sorted(attribute(each, "id") for each in every)


async def test_a_record_is_kept_byte_for_byte(ledger: Fed) -> None:
    odd: list[tuple[str, Any]] = [("x-odd", b"\x00\xff\xfe"), ("x-odd", b""), ("x-\x00none", None), ("é", "é".encode())]
    record = ledger.record(PLACED, sample_of(PLACED))
    value = b'{ "order" : "a\\u0000b",\n\t"price": 1.10, "price": 2 }'
    record = replace(record, value=value, headers=[*odd, *record.headers], timestamp=1_764_000_000_123)
    await ledger.deliver(record)
    event = attribute(record, "id")
    kept = await archive.find(ledger.database, "/sliceline/orders", event)
    assert kept is not None
    assert (kept.record_key, kept.value, kept.headers) == (record.key, value, record.headers)
    assert kept.recorded_at == datetime(2025, 11, 24, 16, 0, 0, 123_000, UTC)
    step = (await ledger.client.get(f"/events/{event}/step")).json()
    assert (step["event"], step["key"], step["finished"], step["unfinished"]) == (event, kept.key, [], [])
    assert step["sentence"].startswith("The order ")
    assert (await ledger.client.get(f"/events/{new_id()}/step")).status_code == 404
    told = (await ledger.client.get(f"/events/{event}")).json()["raw"]
    assert b64decode(told["value_base64"]) == value
    assert [(each["name"], each["value_base64"]) for each in told["headers"]][:3] == [
        ("x-odd", "AP/+"),
        ("x-odd", ""),
        ("x-\x00none", None),
    ]


async def test_an_event_of_a_day_without_partition_is_kept_and_moves_once_there_is_one(ledger: Fed) -> None:
    now = ledger.database.now()
    days = [now - timedelta(days=each) for each in (50_000, 401, 30, 0)] + [now + timedelta(days=3000)]
    events = [changed(ledger.record(PLACED, sample_of(PLACED)), time=day.isoformat()) for day in days]
    await ledger.deliver(*events)
    assert await resting(ledger) == 4
    await keep_house(ledger)
    assert await resting(ledger) == 3  # what lies outside of all that is kept
    assert (await days_of(ledger))[:1] == [days[2].date()]
    await keep_house(ledger, ledger_days=29)
    kept = [each for at, each in enumerate(events) if at != 2]
    assert await ids(ledger) == [attribute(each, "id") for each in kept]
    assert max(await days_of(ledger)) == (now + timedelta(days=jobs.AHEAD)).date()


async def keep_house(service: Fed, **settings: Any) -> None:
    """Do the partitions' job as its worker would."""
    context = Context(Settings(database_url="postgresql://a:a@a:1/a", **settings), service.database)
    await jobs.partition(None, context)  # type: ignore[arg-type]  # which job it is makes no difference


async def days_of(service: Fed) -> list[Any]:
    async with service.database.transaction() as tx:
        return sorted(await store.days(tx.raw))


async def resting(service: Fed) -> int:
    async with service.database.transaction() as tx:
        found: int = await tx.raw.fetchval("SELECT count(*) FROM events_rest")
        return found


async def test_the_first_looks_at_partitions_and_releases_are_due_when_the_database_is_made(ledger: Fed) -> None:
    waiting = (await ledger.client.get("/jobs")).json()["items"]
    assert {PARTITION, RELEASES} <= {each["kind"] for each in waiting}


async def test_events_are_found_by_what_they_are_and_what_they_say(ledger: Fed) -> None:
    orders = [new_id() for _ in range(3)]
    records = [
        changed(ledger.record(PLACED, {**sample_of(PLACED), "order": order}), time=f"2026-11-0{day}T10:00:00Z")
        for day, order in enumerate(orders, 1)
    ]
    await ledger.deliver(*records)
    every = [attribute(each, "id") for each in records]
    total = json.dumps({"data": {"order": [orders[1], orders[2]], "customer": {"id": [{"exists": True}]}}})
    story = attribute(records[0], "correlationid")
    for asked, wanted in (
        ({"type": PLACED}, every),
        ({"type": V1}, []),
        ({"source": "/sliceline/orders", "subject": orders[1]}, every[1:2]),
        ({"key": orders[2]}, every[2:]),
        ({"correlationid": story}, every[:1]),
        ({"since": "2026-11-02T10:00:00Z", "until": "2026-11-03T10:00:00Z"}, every[1:2]),
        ({"pattern": total}, every[1:]),
        ({"pattern": json.dumps({"type": [{"suffix": ".v2"}]})}, []),
        ({"text": orders[1].upper()}, every[1:2]),
        ({"topic": records[0].topic}, every),
        ({"topic": "kitchen.events"}, []),
        ({"newest_first": True}, every[::-1]),
        ({"newest_first": True, "topic": records[0].topic, "until": "2026-11-03T10:00:00Z"}, every[1::-1]),
    ):
        assert await ids(ledger, **asked) == wanted, asked
    first = await listed(ledger, limit=2)
    rest = await listed(ledger, limit=2, after=first["next"])
    assert [each["id"] for each in (*first["items"], *rest["items"])] == every
    assert rest["next"] is None
    last = await listed(ledger, limit=2, newest_first=True)
    rest = await listed(ledger, limit=2, newest_first=True, after=last["next"])
    assert [each["id"] for each in (*last["items"], *rest["items"])] == every[::-1]
    assert rest["next"] is None
    refused = await ledger.client.get("/events", params={"pattern": '{"data": 3}'})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "pattern.data")
    for moment in ("0001-01-01T00:00:00+23:00", "0.5", "2026-11-02", "2026-11-02T10:00:00"):
        refused = await ledger.client.get("/events", params={"since": moment})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "since"), moment


async def test_events_are_listed_the_newest_first_page_by_page(ledger: Fed) -> None:
    records = [
        changed(ledger.record(PLACED, sample_of(PLACED)), time=f"2026-11-0{day}T10:00:00Z") for day in range(1, 6)
    ]
    await ledger.deliver(*records)
    every = [attribute(each, "id") for each in records]
    first = await listed(ledger, newest_first=True, limit=2)
    rest = await listed(ledger, newest_first=True, limit=3, after=first["next"])
    assert [each["id"] for each in (*first["items"], *rest["items"])] == every[::-1]
    assert rest["next"] is None
    until = {"until": "2026-11-04T10:00:00Z", "limit": 1}
    assert await ids(ledger, newest_first=True, **until) == [every[2]]
    assert await ids(ledger, newest_first=True, pattern='{"data": {"order": [{"exists": true}]}}') == every[::-1]


async def test_events_are_found_by_service_by_id_and_by_trace(ledger: Fed) -> None:
    traced, other, foreign = (ledger.record(each, sample_of(each)) for each in (PLACED, V1, RESERVED))
    trace = "0af7651916cd43dd8448eb211c80319c"
    span = ("ce_traceparent", f"00-{trace}-b7ad6b7169203331-01".encode())
    traced = replace(traced, headers=[*traced.headers, span])
    twin = changed(traced, source="/elsewhere")
    await ledger.deliver(traced, other, foreign, twin)
    names = {attribute(each, "id"): each for each in (traced, other, foreign)}
    assert await ids(ledger, service="inventory") == [attribute(foreign, "id")]
    assert set(await ids(ledger, service="orders")) == names.keys() - {attribute(foreign, "id")}
    assert await ids(ledger, service="nobody") == []
    assert [each["source"] for each in (await listed(ledger, id=attribute(traced, "id")))["items"]] == [
        "/elsewhere",
        "/sliceline/orders",
    ]
    found = (await listed(ledger, traceid=trace))["items"]
    assert [(each["id"], each["traceid"]) for each in found] == [(attribute(traced, "id"), trace)] * 2
    assert (await listed(ledger, id=attribute(other, "id")))["items"][0]["traceid"] is None
    for asked, field in (({"service": "orders", "source": "/elsewhere"}, "service"), ({"traceid": "no"}, "traceid")):
        refused = await ledger.client.get("/events", params=asked)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


async def test_what_was_found_last_is_told_at_once_with_its_age_and_then_looked_for_again(
    ledger: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(path: str, **more: Any) -> dict[str, Any]:
        answer = await ledger.client.get(path, params={"last": True, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    for path in ("/funnel", "/backlogs", "/balance", "/throughput"):
        first, again = await asked(path), await asked(path)
        assert first.pop("age_seconds") <= again.pop("age_seconds") < 10
        assert first == again
    monkeypatch.setattr(remembered, "FRESH", 0.0)
    await ledger.deliver(changed(ledger.record(PLACED, sample_of(PLACED)), time=ledger.database.now().isoformat()))
    assert (await asked("/funnel"))["came"] == 0

    async def is_renewed() -> bool:
        return bool((await asked("/funnel"))["came"] == 1)

    await eventually(is_renewed, 10)
    live = (await ledger.client.get("/funnel")).json()
    assert (live["came"], live["age_seconds"]) == (1, 0.0)
    refused = await ledger.client.get("/funnel", params={"last": True, "patience": 5})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "last")


async def test_what_has_changed_of_late_is_told_the_newest_first(ledger: Fed) -> None:
    now = ledger.database.now()

    def act(ago: int, what: str, outcome: str = "done") -> str:
        at = (now - timedelta(minutes=ago)).isoformat().replace("+00:00", "Z")
        told = {"at": at, "actor": "anonymous", "what": what, "path": "/here", "outcome": outcome, "status": 200}
        return json.dumps({**told, "correlationid": "c"})

    def happened(event_type: str, ago: int, **data: Any) -> FakeRecord:
        time = (now - timedelta(minutes=ago)).isoformat()
        return changed(ledger.record(event_type, {**sample_of(event_type), **data}), time=time)

    pressed = [act(3, "POST /tickets/{order}/baked"), act(4, "POST /pauses", "refused"), act(3, "POST /orders")]
    pressed += [act(3, "PUT /carts/{cart}/items/{item}"), act(3, "POST /carts/{cart}/checkout")]
    acts = [act(2, "POST /pauses"), *pressed, act(20, "POST /redrives")]
    await ledger.deliver(
        happened("sliceline.kitchen.acts-recorded.v1", 1, acts=acts),
        happened("sliceline.ledger.balance-broken.v1", 5, consumer="loyalty"),
        happened("sliceline.ledger.balance-broken.v1", 16, consumer="alerts"),
        happened(PLACED, 1),
        replace(happened("sliceline.orders.acts-recorded.v1", 1), value=b'{"acts": [3]}'),
    )

    async def told(**asked: Any) -> list[tuple[str, str, str | None]]:
        found = (await ledger.client.get("/changes", params=asked)).json()
        assert found["is_cut"] is False
        return [(each["service"], each["text"], each["by"]) for each in found["items"]]

    broken = "did with its events does not add up to what is archived."
    lately = [("kitchen", "POST /pauses", "anonymous"), ("ledger", f"What loyalty {broken}", None)]
    assert await told() == lately
    assert await told(since=(now - timedelta(minutes=30)).isoformat()) == [
        *lately,
        ("ledger", f"What alerts {broken}", None),
        ("kitchen", "POST /redrives", "anonymous"),
    ]


async def test_a_service_that_was_started_lately_is_among_the_changes_with_its_version(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = REGISTRY.get_sample_value("process_start_time_seconds")
    assert began is not None
    started = datetime.fromtimestamp(began, UTC)
    with serving(LOYALTY, await asyncio.to_thread(new_database, "loyalty")) as address:
        monkeypatch.setenv("SLICELINE_SERVICES", f"loyalty={address},kitchen=http://127.0.0.1:1")
        async with fed(SERVICE, new_database) as ledger:

            async def told(since: datetime) -> list[Any]:
                items = (await ledger.client.get("/changes", params={"since": since.isoformat()})).json()["items"]
                return [(each["service"], each["text"], each["event"]) for each in items]

            assert await told(started) == [("loyalty", f"started, version {VERSION}", None)]
            assert await told(started + timedelta(milliseconds=1)) == []


async def test_what_waits_in_every_service_is_told_in_one_answer(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_database, "loyalty")
    with serving(LOYALTY, url) as address:
        monkeypatch.setenv("SLICELINE_SERVICES", f"loyalty={address},kitchen=http://127.0.0.1:1")
        async with fed(SERVICE, new_database) as ledger:
            loyalty = Fed(LOYALTY, Database(url, "loyalty"), ledger.client, ledger.context)
            first = loyalty.record(COMPLETED, sample_of(COMPLETED))
            await park(loyalty, first)
            held = loyalty.record(COMPLETED, sample_of(COMPLETED))  # of the same key
            await loyalty.deliver(replace(held, offset=1))
            found = (await ledger.client.get("/backlogs")).json()
            assert found["silent"] == ["kitchen"]
            [waiting] = found["services"]
            assert waiting["service"] == "loyalty"
            assert (waiting["parked"]["events"], waiting["parked"]["keys"]) == (2, 1)
            assert waiting["needs"] == [waiting["needs"][0]]
            assert "BoomError: no" in waiting["needs"][0]
            sums = found["sums"]
            assert (sums["parked"], sums["keys"], sums["needs"], sums["given_up"]) == (2, 1, 1, 0)
            assert sums["parked_since"] == waiting["parked"]["since"]
            await loyalty.database.close()


async def test_a_search_that_looks_inside_says_where_it_has_stopped(
    ledger: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_LOOKED_AT", 2)
    monkeypatch.setattr(archive, "_CHUNK", 1)
    order = new_id()
    records = [ledger.record(PLACED, {**sample_of(PLACED), "order": each}) for each in (new_id(), new_id(), order)]
    await ledger.deliver(*records)
    first = await listed(ledger, subject=order)
    assert (first["items"], first["looked_at"]) == ([], 2)
    rest = await listed(ledger, subject=order, after=first["next"])
    assert [each["id"] for each in rest["items"]] == [attribute(records[2], "id")]


async def test_what_came_lately_is_counted_by_topic_and_type(ledger: Fed) -> None:
    now = ledger.database.now()
    records = [
        changed(ledger.record(each, sample_of(each)), time=(now - timedelta(seconds=ago)).isoformat())
        for each, ago in ((PLACED, 5), (PLACED, 50), (PLACED, 90), (V2, 10), (V1, 4000))
    ]
    await ledger.deliver(*records)
    answer = (await ledger.client.get("/rates")).json()
    topic = records[0].topic
    counted = [(each["topic"], each["type"], each["events"]) for each in answer["items"]]
    assert (counted, answer["seconds"]) == ([(topic, V2, 1), (topic, PLACED, 2)], 60)
    longer = (await ledger.client.get("/rates", params={"seconds": 120})).json()["items"]
    assert [each["events"] for each in longer] == [1, 3]
    assert datetime.fromisoformat(longer[1]["last_at"]) == now - timedelta(seconds=5)
    assert (await ledger.client.get("/rates", params={"seconds": 0})).status_code == 422


async def test_an_order_is_counted_once_for_each_status_in_the_step_in_which_it_was_reached(ledger: Fed) -> None:
    first = (await ledger.client.get("/throughput")).json()
    since, step = datetime.fromisoformat(first["since"]), first["step_seconds"]

    def told(name: str, number: float) -> FakeRecord:
        record = ledger.record(f"sliceline.orders.order-{name}.v1", sample_of(f"sliceline.orders.order-{name}.v1"))
        return changed(record, time=(since + timedelta(seconds=step * number)).isoformat())

    def of_another(record: FakeRecord) -> FakeRecord:
        order = new_id()
        return replace(changed(record, subject=order, partitionkey=order), key=order.encode())

    placed = told("placed", 30)
    twin = changed(told("placed", 31), occurrenceid=attribute(placed, "occurrenceid"))  # as another version would be
    others = [of_another(told("placed", number)) for number in (-0.1, 0, 30.9)]
    await ledger.deliver(placed, twin, *others, told("completed", 59), told("rejected", 2), told("confirmed", 3))
    # A step may have ended since the first was asked for.
    answer = (await ledger.client.get("/throughput")).json()
    later = int((datetime.fromisoformat(answer["since"]) - since).total_seconds()) // step
    found = {
        each["status"]: {at + later: number for at, number in enumerate(each["orders"]) if number}
        for each in answer["statuses"]
    }
    assert found.pop("placed") == {number: orders for number, orders in ((0, 1), (30, 2)) if number >= later}
    assert found == {"completed": {59: 1}, "rejected": {2: 1}, "cancelled": {}}
    assert (step, answer["age_seconds"], {len(each["orders"]) for each in answer["statuses"]}) == (15, 0.0, {60})
    hour = (await ledger.client.get("/throughput", params={"minutes": 60})).json()
    assert (hour["step_seconds"], sum(hour["statuses"][0]["orders"])) == (60, 4)
    for asked, field in (({"minutes": 61}, "minutes"), ({"minutes": 14, "last": True}, "last")):
        refused = await ledger.client.get("/throughput", params=asked)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


async def test_an_id_that_two_sources_have_given_asks_which(ledger: Fed) -> None:
    first = ledger.record(PLACED, sample_of(PLACED))
    second = changed(first, source="/elsewhere")
    await ledger.deliver(first, second)
    event = attribute(first, "id")
    assert (await ledger.client.get(f"/events/{event}")).status_code == 409
    found = await ledger.client.get(f"/events/{event}", params={"source": "/elsewhere"})
    assert found.json()["source"] == "/elsewhere"
    assert (await ledger.client.get(f"/events/{new_id()}")).status_code == 404


async def test_a_journey_tells_how_far_each_listener_is(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_database, "loyalty")
    with serving(LOYALTY, url) as address:
        monkeypatch.setenv("SLICELINE_SERVICES", f"loyalty={address},kitchen=http://127.0.0.1:1")
        async with fed(SERVICE, new_database) as ledger:
            loyalty = Fed(LOYALTY, Database(url, "loyalty"), ledger.client, ledger.context)
            sample = sample_of(COMPLETED)
            now = round(ledger.database.now().timestamp() * 1000)
            records = [replace(ledger.record(each, sample_of(each)), timestamp=now) for each in (V2, COMPLETED)]
            records = [changed(each, time=f"2026-11-27T12:00:0{at}Z") for at, each in enumerate(records)]
            second = replace(records[1], offset=1)
            await ledger.deliver(records[0], second)
            assert await standing(ledger, sample["order"]) == ([[], [("loyalty", "to come")]], [["kitchen"], []])
            await loyalty.deliver(*records)
            [_, last] = (await journey_of(ledger, sample["order"]))["steps"]
            [handled] = last["listeners"]
            assert (handled["state"], handled["attempts"], handled["errors"]) == ("handled", 1, [])
            assert handled["in_topic_ms"] >= 0 < handled["in_handler_ms"]
            assert last["after_ms"] == 1000
            assert last["sentence"].startswith(f"The order {sample['order']} is complete")
            later = replace(changed(records[1], id=new_id(), occurrenceid=new_id()), offset=2)
            await ledger.deliver(later)
            await park(loyalty, later)
            found = await journey_of(ledger, sample["order"])
            parked = [each for step in found["steps"] for each in step["listeners"] if each["state"] == "parked"]
            assert [(each["error"], each["errors"][0]["error"]) for each in parked] == [("BoomError: no",) * 2]
            assert (found["unfinished"], found["unanswered"]) == (["loyalty"], ["kitchen"])
            asked = {"order": sample["order"], "expected": "rule:Large orders"}
            broken = (await ledger.client.get("/why", params=asked)).json()["broken"]
            assert (broken["kind"], broken["service"]) == ("no-answer", "router")
            await loyalty.database.close()


async def test_a_journey_of_hundreds_of_events_asks_each_service_once_and_about_what_it_reads(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    post = Services.post

    async def counted(services: Services, name: str, path: str, body: Any) -> Any:
        asked.append(len(body["events"]))
        return await post(services, name, path, body)

    monkeypatch.setattr(Services, "post", counted)
    url = await asyncio.to_thread(new_database, "loyalty")
    with serving(LOYALTY, url) as address:
        monkeypatch.setenv("SLICELINE_SERVICES", f"loyalty={address}")
        async with fed(SERVICE, new_database) as ledger:
            order = new_id()
            types = [COMPLETED, *[PLACED] * 300]
            await ledger.deliver(*(ledger.record(each, {**sample_of(each), "order": order}, "s") for each in types))
            for _ in range(2):
                found = await journey_of(ledger, order)
                assert (len(found["steps"]), found["unanswered"]) == (301, [])
                assert sum(len(each["listeners"]) for each in found["steps"]) == 1
            assert asked == [301, 1]


class BoomError(SlicelineError):
    """Something that no retry can help."""


async def park(service: Fed, record: FakeRecord) -> None:
    processor = BatchProcessor(service.service.name, service.service.handlers, service.database)
    ranges = {(record.topic, 0): (record.offset, record.offset + 1)}
    await processor.park(Batch([read(record, processor.views)], ranges), BoomError("no"))


async def journey_of(service: Fed, order: str) -> dict[str, Any]:
    answer = await service.client.get(f"/orders/{order}/journey")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def standing(service: Fed, order: str) -> tuple[list[Any], list[Any]]:
    """Of each step the listeners with their states, and those that are not known."""
    steps = (await journey_of(service, order))["steps"]
    known = [
        [(each["service"], each["state"]) for each in step["listeners"] if each["state"] != "unknown"] for step in steps
    ]
    return known, [step["unknown"] for step in steps]


POISON = {
    "bytes that are no text": b'{"order":"o","name":"\xff"}',
    "a number that is too large": b'{"order":"o","n":1e999}',
    "a number without end": b'{"order":' + b"9" * 5000 + b"}",
    "nesting without end": b'{"order":' * 600 + b"1" + b"}" * 600,
}


async def test_an_event_whose_data_nobody_can_read_is_kept_and_hides_no_other(ledger: Fed) -> None:
    order = new_id()
    sound = {**sample_of(V2), "order": order}
    for value in (json.dumps(sound).encode(), *POISON.values()):
        await ledger.deliver(replace(ledger.record(V2, sound), value=value))
    events = (await listed(ledger, key=order))["items"]
    shown = {each["data"] for each in events if isinstance(each["data"], str)}
    assert (len(events), shown) == (5, {each.decode(errors="backslashreplace") for each in POISON.values()})
    for event in events:
        assert (await ledger.client.get(f"/events/{event['id']}")).status_code == 200
    for pattern in ({"data": {"order": [order]}}, {"type": [V2]}):
        assert await ids(ledger, key=order, pattern=json.dumps(pattern)) == [events[0]["id"]]
    assert len((await journey_of(ledger, order))["steps"]) == 5
    for path, asked in (("/why", {"expected": "mail"}), ("/state", {})):
        answer = await ledger.client.get(path, params={"order": order, **asked})
        assert answer.status_code == 200, answer.text


async def test_an_order_that_nobody_has_heard_of_has_no_journey_and_the_funnel_of_years_is_not_counted(
    ledger: Fed,
) -> None:
    assert (await ledger.client.get(f"/orders/{new_id()}/journey")).status_code == 404
    now = ledger.database.now()
    days = {days: (now - timedelta(days=days)).isoformat() for days in (30, 32, 20_000)}
    asked = [await ledger.client.get("/funnel", params={"since": since}) for since in days.values()]
    assert [each.status_code for each in asked] == [200, 422, 422]
    assert "31 days" in asked[-1].text


async def test_the_catalogue_is_served_from_its_folder_alone_and_schemas_with_it(
    ledger: Fed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_api, "FOLDER", tmp_path)
    assert (await ledger.client.get("/catalogue/index.html")).json()["title"] == "No catalogue"
    (tmp_path / "index.html").write_text("<h1>Events</h1>")
    first = await ledger.client.get("/catalogue", follow_redirects=True)
    assert (first.text, first.headers["content-type"]) == ("<h1>Events</h1>", "text/html; charset=utf-8")
    for elsewhere in ("%2e%2e/password", "%2fetc/passwd", "no-such.html"):
        assert (await ledger.client.get(f"/catalogue/{elsewhere}")).status_code == 404
    schema = await ledger.client.get("/catalogue/schemas/orders/order-confirmed.v2.json")
    assert schema.json()["title"] == V2
    assert (await ledger.client.get("/catalogue/schemas/orders/order-confirmed.v9.json")).status_code == 404
    assert (await ledger.client.get("/catalogue/live")).json() == {"services": {}}


async def test_a_form_that_comes_with_a_later_release_is_told_once_to_each_reader(ledger: Fed) -> None:
    """What the first look finds was there before."""

    async def look(*forms: Form) -> list[tuple[int, str | None]]:
        async with ledger.database.transaction() as tx:
            job = Job(0, RELEASES, RELEASES, {}, 1, tx.now, tx.now, tx.cause, None)
            await releases.settle([Done(job, forms, tx.cause)], tx)
        told = await ledger.published("orders.order-confirmed.v2")
        return [(said["form"], said.get("reader")) for _, said in told]

    first, second = Form(V2, 1, "0.1.0"), Form(V2, 2, "0.2.0")
    assert await look(first) == []
    told = await look(first, second)
    assert {reader for _, reader in told} >= {"kitchen", "delivery", "notifications"}
    assert {form for form, _ in told} == {2}
    assert await look(first, second) == told


async def test_what_comes_over_kafka_is_kept_with_the_moment_that_kafka_had_it(ledger: Fed, thing: Things) -> None:
    """Once with a real consumer: an event sent twice, one that no contract describes, and what is no event at all."""
    began = ledger.database.now() - timedelta(seconds=1)
    sound, foreign = record_of(thing, "a", 1), record_of(thing, "b", 2)
    foreign[2][:] = [(name, b"com.example.new" if name == "ce_type" else value) for name, value in foreign[2]]
    await send(thing, sound, sound, (b"c", b"no event", []), foreign)
    handlers: Handlers = {every_record_of(thing.topic): BatchHandler(keep)}
    async with running(Consumer(thing.name, handlers, ledger.database, thing.kafka)):

        async def both() -> bool:
            return len(await ids(ledger)) == 2

        await eventually(both)
    [first, second] = await archive.of_key(ledger.database, "a") + await archive.of_key(ledger.database, "b")
    assert (first.record_key, first.value, list(first.headers)) == sound
    assert second.type == "com.example.new"
    assert first.recorded_at is not None
    assert began < first.recorded_at < first.archived_at + timedelta(seconds=1)
    letters = (await ledger.client.get("/dead-letters")).json()["items"]
    assert [(each["topic"], each["offset"]) for each in letters] == [(thing.topic, 2)]
