"""Parked events are handled again by a plan: rehearsed, in steps, in their keys' order, with a report; or given up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backbone.consuming import discarding, redrive, redriving
from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.dry_run import Rehearsal
from backbone.consuming.handlers import BatchHandler
from backbone.consuming.redrive import KIND, Redrive
from backbone.context import Context
from backbone.events.payload import Event
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from backbone.settings import Settings
from backbone.storage import sql
from backbone.storage.database import Tx
from backbone.storage.housekeeping import prune
from services.kitchen.consumers import hear
from services.kitchen.decisions import FACTS
from services.kitchen.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import FakeRecord, Fed, fed
from tests.integration.test_kitchen import cancel, confirmed
from tests.integration.things import running
from tests.issuing import by
from tests.waiting import eventually

ANN = by("ann")


class Oven:
    """The kitchen's handler, which refuses some orders until it is mended."""

    def __init__(self) -> None:
        self.refused = set[str]()
        self.handled: list[tuple[str, str]] = []

    async def hear(self, events: Sequence[Event[Any]], tx: Tx) -> None:
        for event in events:
            if event.data.order in self.refused:
                raise LookupError(f"no oven for {event.data.order}")
        await hear(events, tx)
        self.handled += [(event.data.order, event.id) for event in events]


class Kitchen:
    """The kitchen with that handler, and what is parked in it."""

    def __init__(self, service: Fed, oven: Oven) -> None:
        self.service = service
        self.oven = oven
        self.client = service.client
        self.processor = BatchProcessor(SERVICE.name, service.service.handlers, service.database)

    async def deliver(self, *records: FakeRecord) -> None:
        """As its consumer would: what cannot be handled is parked."""
        for record in records:
            try:
                await self.service.deliver(replace(record, offset=await self._offset(record)))
            except Exception as error:
                await self.park(record, error)

    async def _offset(self, record: FakeRecord) -> int:
        return await self.service._next_offset(record.topic, 0)

    async def park(self, record: FakeRecord, error: Exception) -> None:
        start = await self._offset(record)
        batch = Batch(
            [read(replace(record, offset=start), self.processor.views)], {(record.topic, 0): (start, start + 1)}
        )
        await self.processor.park(batch, error)

    async def refused(self, *, behind: int = 1) -> str:
        """An order whose confirmation was refused, and what waits behind it."""
        order = new_id()
        self.oven.refused.add(order)
        events = [confirmed(order), *(cancel(order) for _ in range(behind))]
        await self.deliver(*(self.service.record(*event) for event in events))
        return order

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, status: int = 200, /, **body: Any) -> Any:
        answer = await self.client.post(path, json=body, headers=ANN)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def letters(self, **query: Any) -> list[Any]:
        return list((await self.get("/dead-letters", **query))["items"])

    def working(self) -> AbstractAsyncContextManager[None]:
        """The jobs of redrives are done in the block."""
        settings = Settings(database_url="postgresql://unused")
        context = Context(settings, self.service.database)
        return running(Worker(KIND, redriving.work(SERVICE.name, self.service.service.handlers), context))

    async def redriven(self, **plan: Any) -> Any:
        """The report of a plan that has ended."""
        number = (await self.post("/redrives", 202, **plan))["id"]
        async with self.working():
            await eventually(lambda: self.has_ended(number))
        return await self.get(f"/redrives/{number}")

    async def has_ended(self, number: int) -> bool:
        return bool((await self.get(f"/redrives/{number}"))["state"] != "running")

    async def tickets(self) -> dict[str, str]:
        return {each["order"]: each["status"] for each in (await self.get("/tickets"))["items"]}


@pytest.fixture
async def kitchen(new_database: NewDatabase) -> AsyncIterator[Kitchen]:
    oven = Oven()
    service = replace(SERVICE, handlers=dict.fromkeys(FACTS, BatchHandler(oven.hear)))
    async with fed(service, new_database) as given:
        yield Kitchen(given, oven)


def counts(report: Any) -> dict[str, int]:
    return {outcome: count for outcome, count in report["outcomes"].items() if count}


async def test_letters_are_grouped_by_cause_and_one_is_a_page_of_facts(kitchen: Kitchen) -> None:
    orders = [await kitchen.refused(behind=behind) for behind in (2, 0, 0)]
    broken = confirmed(new_id())
    broken[1]["lines"][0]["quantity"] = "many"
    await kitchen.deliver(kitchen.service.record(*broken), kitchen.service.record(*broken))
    first, second = (await kitchen.get("/dead-letters/groups"))["items"]
    assert (first["count"], first["keys"], first["held"], first["type"][-2:]) == (3, 3, 2, "v2")
    assert first["frame"].endswith("test_redrives.py hear")
    assert first["first_at"] < first["last_at"]
    assert (second["count"], second["keys"], second["held"]) == (1, 1, 1)
    listed = await kitchen.letters(group=first["group"])
    assert [each["key"] for each in listed] == orders
    assert not {"value", "headers", "payload"} & listed[0].keys()
    (letter,) = await kitchen.letters(key=orders[1])
    page = await kitchen.get(f"/dead-letters/{letter['id']}")
    assert (page["payload"]["order"], page["attempts"], page["contract"]["version"]) == (orders[1], 1, 2)
    assert page["error"] == f"LookupError: no oven for {orders[1]}"
    assert [frame["function"] for frame in page["frames"]][-1] == "hear"
    assert (page["before"], page["held"], page["reads_now"]) == ([], 0, "It can be read.")
    behind = (await kitchen.letters(key=orders[0]))[1]
    page = await kitchen.get(f"/dead-letters/{behind['id']}")
    assert ([each["state"] for each in page["before"]], page["held"]) == (["parked"], 1)
    (wrong,) = await kitchen.letters(group=second["group"])
    (marked,) = (await kitchen.get(f"/dead-letters/{wrong['id']}"))["failing"]
    assert marked["path"] == "lines.0.quantity"


async def test_a_letter_is_a_page_and_a_reproduction_whatever_it_holds(kitchen: Kitchen) -> None:
    good = kitchen.service.record(*confirmed(new_id()))
    endless = [(name, b"9" * 5000 if name == "ce_sequence" else value) for name, value in good.headers]
    await kitchen.deliver(
        replace(good, headers=endless),
        replace(good, key=b"nul", value=b'{"order": "x\\u0000y"}'),
        replace(good, key=b"deep", value=b'{"a":' * 900 + b"1" + b"}" * 900),
    )
    letters = await kitchen.letters()
    assert len(letters) == 3
    for letter in letters:
        await kitchen.get(f"/dead-letters/{letter['id']}")
        await kitchen.get(f"/dead-letters/{letter['id']}/reproduction")


async def test_a_dry_run_tells_what_would_come_of_it_and_changes_nothing(kitchen: Kitchen) -> None:
    mended, failing = await kitchen.refused(), await kitchen.refused()
    known = kitchen.service.record(*confirmed(new_id()))
    await kitchen.deliver(known)
    await kitchen.park(known, RuntimeError("it was handled, and nobody knew"))
    kitchen.oven.refused.discard(mended)
    parked, tickets = await kitchen.letters(), await kitchen.tickets()
    report = await kitchen.redriven(all=True, dry_run=True)
    assert (report["state"], report["total"]) == ("done", 5)
    assert counts(report) == {"applied": 2, "already-applied": 1, "failed": 1, "held": 1}
    assert report["changes"]["tickets"] == {"inserted": 1, "updated": 1, "deleted": 0}
    assert report["changes"]["outbox"]["inserted"] == 1
    assert (await kitchen.letters(), await kitchen.tickets()) == (parked, tickets)
    assert await kitchen.service.published(mended) == []
    told = (await kitchen.get(f"/redrives/{report['id']}/letters"))["items"]
    assert [each["error"] for each in told if each["outcome"] == "failed"] == [f"LookupError: no oven for {failing}"]


async def test_a_plan_stops_at_the_first_that_fails_or_goes_on_with_other_keys(kitchen: Kitchen) -> None:
    orders = [await kitchen.refused() for _ in range(4)]
    kitchen.oven.refused -= {orders[0], orders[3]}
    stopped = await kitchen.redriven(all=True)
    assert (stopped["state"], counts(stopped)) == ("stopped", {"applied": 2, "failed": 1})
    assert [each["attempts"] for each in await kitchen.letters(key=orders[1])] == [2, 0]
    went_on = await kitchen.redriven(all=True, on_failure="continue")
    assert (went_on["state"], counts(went_on)) == ("done", {"applied": 2, "failed": 2, "held": 2})
    assert await kitchen.tickets() == {orders[0]: "cancelled", orders[3]: "cancelled"}
    kitchen.oven.refused.clear()
    (group,) = (await kitchen.get("/dead-letters/groups"))["items"]
    assert counts(await kitchen.redriven(group=group["group"])) == {"applied": 4}
    assert await kitchen.letters() == []
    newest = await kitchen.get("/redrives", limit=2)
    older = await kitchen.get("/redrives", limit=2, after=newest["next"])
    assert [[each["id"] for each in page["items"]] for page in (newest, older)] == [[3, 2], [1]]
    age = timedelta(days=30)
    assert await prune(kitchen.service.database, sql.REDRIVES_PRUNE, age) == 0
    await kitchen.service.database.fetch("UPDATE redrives SET ended_at = now() - interval '31 days' WHERE id < 3")
    assert await prune(kitchen.service.database, sql.REDRIVES_PRUNE, age) == 2
    assert [each["id"] for each in (await kitchen.get("/redrives"))["items"]] == [3]
    acts = (await kitchen.get("/acts"))["items"]
    assert [(each["actor"], each["act"]) for each in acts] == [("ann", "redrive")] * 3


async def test_one_letter_is_redriven_alone_and_only_as_the_first_of_its_key(kitchen: Kitchen) -> None:
    order = await kitchen.refused(behind=2)
    kitchen.oven.refused.clear()
    first, second, _ = await kitchen.letters()
    assert (await kitchen.post("/redrives", 409, letter=second["id"]))["title"] == "Letter waits"
    assert (await kitchen.post("/redrives", 404, letter=10**6))["title"] == "No such dead letter"
    assert counts(await kitchen.redriven(letter=first["id"])) == {"applied": 1}
    assert len(await kitchen.letters()) == 2
    assert await kitchen.tickets() == {order: "waiting"}


async def test_a_redrive_of_many_keys_goes_on_after_a_restart_and_applies_nothing_twice(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "FEW", 2)
    orders = [await kitchen.refused(behind=3) for _ in range(3)]
    kitchen.oven.refused.clear()
    number = (await kitchen.post("/redrives", 202, all=True))["id"]
    ending = Redrive(kitchen.service.database, SERVICE.name, kitchen.service.service.handlers, number)
    assert await ending.step()
    assert await ending.step()
    async with kitchen.working():  # another process
        await eventually(lambda: kitchen.has_ended(number))
    assert counts(await kitchen.get(f"/redrives/{number}")) == {"applied": 12}
    for order in orders:
        ids = [each for about, each in kitchen.oven.handled if about == order]
        assert ids == sorted(set(ids))
        assert len(ids) == 4


async def test_two_at_one_redrive_tell_and_apply_nothing_twice(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, both = Rehearsal.of, asyncio.Barrier(2)

    async def at_the_same_time(*given: Any) -> Any:
        found = await real(*given)
        await both.wait()
        return found

    monkeypatch.setattr(Rehearsal, "of", at_the_same_time)
    for _ in range(4):
        await kitchen.refused(behind=4)
    kitchen.oven.refused.clear()
    number = (await kitchen.post("/redrives", 202, all=True, dry_run=True))["id"]

    async def go() -> None:
        going = Redrive(kitchen.service.database, SERVICE.name, kitchen.service.service.handlers, number)
        while await going.step():
            pass

    await asyncio.gather(go(), go())
    would = await kitchen.get(f"/redrives/{number}")
    assert (counts(would), would["changes"]["tickets"]["inserted"]) == ({"applied": 20}, 4)
    number = (await kitchen.post("/redrives", 202, all=True))["id"]
    await asyncio.gather(go(), go())
    assert counts(await kitchen.get(f"/redrives/{number}")) == {"applied": 20}
    assert await kitchen.letters() == []


async def test_a_slow_redrive_is_cancelled_before_its_next_step(kitchen: Kitchen) -> None:
    order = await kitchen.refused(behind=5)
    kitchen.oven.refused.clear()
    number = (await kitchen.post("/redrives", 202, key=order, rate=0.1))["id"]

    async def has_begun() -> bool:
        return counts(await kitchen.get(f"/redrives/{number}")) == {"applied": 1}

    async with kitchen.working():
        await eventually(has_begun)
        assert (await kitchen.post(f"/redrives/{number}/cancel"))["state"] == "cancelled"
        assert (await kitchen.post(f"/redrives/{number}/cancel", 409))["title"] == "Redrive has ended"
    assert len(await kitchen.letters()) == 5
    going = Redrive(kitchen.service.database, SERVICE.name, kitchen.service.service.handlers, number)
    assert not await going.step()


async def test_a_group_is_discarded_and_restored_to_where_it_stood(kitchen: Kitchen) -> None:
    orders = [await kitchen.refused(behind=1) for _ in range(2)]
    before = await kitchen.letters()
    (group,) = (await kitchen.get("/dead-letters/groups"))["items"]
    given = {"group": group["group"], "reason": "Nobody ordered these."}
    discarded = await kitchen.post("/dead-letters/discard", **given)
    assert discarded["discarded"] == 2
    assert [each["error"] for each in await kitchen.letters()] == [None, None]
    assert await kitchen.post("/dead-letters/restore", key=orders[0]) == {"restored": 1}
    assert await kitchen.letters(key=orders[0]) == [each for each in before if each["key"] == orders[0]]
    kitchen.oven.refused.clear()
    async with kitchen.working():  # what waited goes on by itself
        await eventually(lambda: kitchen.has_ended(discarded["redrive"]))
    assert counts(await kitchen.get(f"/redrives/{discarded['redrive']}")) == {"applied": 3}
    assert await kitchen.tickets() == {orders[0]: "cancelled"}
    assert (await kitchen.post("/dead-letters/restore", 404, key=orders[0]))["title"] == "No such discarded letter"
    acts = (await kitchen.get("/acts"))["items"]
    assert [each["act"] for each in acts if each["actor"] == "ann"] == ["restore", "redrive", "discard"]
    await kitchen.service.database.fetch("UPDATE discarded_letters SET discarded_at = now() - interval '31 days'")
    assert await prune(kitchen.service.database, sql.DISCARDED_PRUNE, timedelta(days=30)) == 1
    assert (await kitchen.post("/dead-letters/restore", 404, key=orders[1]))["title"] == "No such discarded letter"


async def test_a_large_group_is_discarded_and_restored_in_parts_and_only_keys_that_are_done_with_go_on(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discarding, "MOST", 2)
    orders = [await kitchen.refused(behind=1) for _ in range(3)]
    again = {"key": orders[0], "reason": "Nobody ordered it."}
    assert await kitchen.post("/dead-letters/discard", letter=1, reason="x") == {"discarded": 1, "redrive": 1}
    assert await kitchen.post("/dead-letters/restore", letter=1) == {"restored": 1}
    await kitchen.deliver(kitchen.service.record(*cancel(orders[0])))
    assert await kitchen.post("/dead-letters/discard", **again) == {"discarded": 2, "redrive": None}
    assert await kitchen.post("/dead-letters/discard", **again) == {"discarded": 1, "redrive": None}
    assert orders[0] not in {each["key"] for each in await kitchen.letters()}
    assert [await kitchen.post("/dead-letters/restore", key=orders[0]) for _ in "ab"] == [
        {"restored": 2},
        {"restored": 1},
    ]
    (group,) = (await kitchen.get("/dead-letters/groups"))["items"]
    given = {"group": group["group"], "reason": "Nobody ordered these."}
    assert [await kitchen.post("/dead-letters/discard", **given) for _ in "ab"] == [
        {"discarded": 2, "redrive": 2},
        {"discarded": 1, "redrive": 3},
    ]
    await kitchen.post("/dead-letters/discard", 404, **given)


async def test_an_event_that_was_handled_before_it_was_discarded_is_not_handled_again(kitchen: Kitchen) -> None:
    known = kitchen.service.record(*confirmed(new_id()))
    await kitchen.deliver(known)
    await kitchen.park(known, RuntimeError("it was handled, and nobody knew"))
    (letter,) = await kitchen.letters()
    await kitchen.post("/dead-letters/discard", letter=letter["id"], reason="It was handled.")
    await kitchen.post("/dead-letters/restore", letter=letter["id"])
    assert counts(await kitchen.redriven(all=True)) == {"already-applied": 1}
    assert len(kitchen.oven.handled) == 1


async def test_an_edited_copy_is_handled_instead_of_its_original_which_is_kept(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = new_id()
    _, wrong = confirmed(order)
    right = {**wrong, "lines": [{**each, "quantity": 3} for each in wrong["lines"]]}
    wrong["lines"][0]["quantity"] = "many"
    await kitchen.deliver(kitchen.service.record(confirmed(order)[0], wrong))
    (letter,) = await kitchen.letters()
    path = f"/dead-letters/{letter['id']}/edit"
    given: dict[str, Any] = {"data": right, "reason": "The till wrote a word."}
    assert (await kitchen.post(path, 409, **given))["title"] == "Editing is off"
    settings = kitchen.client._transport.app.__closure__  # type: ignore[attr-defined]
    context = next(each.cell_contents for each in settings).state.context
    monkeypatch.setattr(context.settings, "edit_dead_letters", True)
    refused = await kitchen.post(path, 422, data={**wrong}, reason="No better.")
    assert refused["errors"][0]["field"] == "data.lines.0.quantity"
    diff = (await kitchen.post(path, **given))["diff"]
    assert '-      "quantity": "many"' in diff
    page = await kitchen.get(f"/dead-letters/{letter['id']}")
    assert page["payload"] == right
    assert [(each["edited_by"], each["reason"]) for each in page["edits"]] == [("ann", given["reason"])]
    await kitchen.post("/dead-letters/discard", letter=letter["id"], reason="Nobody wants it.")
    await kitchen.service.database.fetch("UPDATE edited_letters SET edited_at = now() - interval '31 days'")
    assert await prune(kitchen.service.database, sql.EDITED_PRUNE, timedelta(days=30)) == 0  # its copy may come back
    assert await kitchen.post("/dead-letters/restore", letter=letter["id"]) == {"restored": 1}
    assert counts(await kitchen.redriven(all=True)) == {"applied": 1}
    (ticket,) = (await kitchen.get("/tickets"))["items"]
    assert ticket["lines"] == [{"item": "margherita", "quantity": 3}]
