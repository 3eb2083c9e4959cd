"""Redrives, restores, edits, resumptions and the consumer meet on one key, and none undoes what another relies on."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from backbone.consuming import editing, parking, pausing
from backbone.consuming.batch import Batch, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.handlers import BatchHandler, Handlers
from backbone.consuming.redrive import Redrive
from backbone.events.payload import Event
from backbone.ids import new_id
from backbone.storage.database import Database, Tx
from services.kitchen.service import SERVICE
from tests.integration.test_kitchen import cancel, confirmed
from tests.integration.test_redrives import Kitchen, counts
from tests.integration.test_redrives import kitchen as kitchen
from tests.waiting import eventually


class Halt:
    """A place in the code at which somebody stops until he is let go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.passed = asyncio.Event()

    async def here(self) -> None:
        self.reached.set()
        await self.passed.wait()


def halting(kitchen: Kitchen, halt: Halt) -> Handlers:
    """The kitchen's handlers, which stop before they do what they do."""

    async def hear(events: Sequence[Event[Any]], tx: Tx) -> None:
        await halt.here()
        await kitchen.oven.hear(events, tx)

    return dict.fromkeys(kitchen.service.service.handlers, BatchHandler(hear))


async def begun(kitchen: Kitchen, **plan: Any) -> int:
    return int((await kitchen.post("/redrives", 202, **plan))["id"])


def step(kitchen: Kitchen, number: int, handlers: Handlers) -> "asyncio.Task[bool]":
    return asyncio.create_task(Redrive(kitchen.service.database, SERVICE.name, handlers, number).step())


async def ends_or_waits(kitchen: Kitchen, task: "asyncio.Task[Any]") -> None:
    """Wait until something has ended, or waits for what somebody else holds."""
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def it_does() -> bool:
        return task.done() or bool(await kitchen.service.database.fetch(waiting))

    await eventually(it_does)


async def keys(kitchen: Kitchen) -> list[str]:
    return [row["key"] for row in await kitchen.service.database.fetch("SELECT key FROM parked_keys")]


async def batch_of(kitchen: Kitchen, order: str) -> Batch:
    record = kitchen.service.record(*confirmed(order))
    start = await kitchen._offset(record)
    incoming = read(replace(record, offset=start), kitchen.processor.views)
    return Batch([incoming], {(record.topic, 0): (start, start + 1)})


async def test_a_letter_that_is_restored_while_the_last_of_its_key_is_redriven_closes_the_key_again(
    kitchen: Kitchen,
) -> None:
    order = await kitchen.refused(behind=1)
    first, _ = await kitchen.letters()
    kitchen.oven.refused.clear()
    plan = (await kitchen.post("/dead-letters/discard", letter=first["id"], reason="Nobody ordered it."))["redrive"]
    halt = Halt()
    stepping = step(kitchen, plan, halting(kitchen, halt))
    await halt.reached.wait()
    restoring = asyncio.create_task(kitchen.post("/dead-letters/restore", letter=first["id"]))
    await ends_or_waits(kitchen, restoring)
    halt.passed.set()
    assert (await stepping, await restoring) == (True, {"restored": 1})
    assert [each["id"] for each in await kitchen.letters()] == [first["id"]]
    assert await keys(kitchen) == [order]


async def test_a_key_that_is_resumed_while_its_event_is_parked_stays_closed(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, halt, database = new_id(), Halt(), kitchen.service.database
    await kitchen.deliver(kitchen.service.record(*confirmed(new_id())))
    pause = await kitchen.post("/pauses", 201, what="key", name=order, reason="A look first.")
    write = parking._write_letter

    async def written(*given: Any) -> None:
        await halt.here()
        await write(*given)

    async def resume() -> None:
        async with database.transaction() as tx:
            await pausing.resume(tx, SERVICE.name, pause["id"], by="ann")

    monkeypatch.setattr(parking, "_write_letter", written)
    park = asyncio.create_task(kitchen.processor.park(await batch_of(kitchen, order), LookupError("no oven")))
    await halt.reached.wait()
    resuming = asyncio.create_task(resume())
    await ends_or_waits(kitchen, resuming)
    halt.passed.set()
    await asyncio.gather(park, resuming)
    await kitchen.deliver(kitchen.service.record(*cancel(order)))
    assert await keys(kitchen) == [order]
    assert [each["error"] for each in await kitchen.letters()] == ["LookupError: no oven", None]


async def test_a_redrive_closes_a_key_that_lies_open_before_its_letters_and_ends(kitchen: Kitchen) -> None:
    await kitchen.refused(behind=2)
    await kitchen.service.database.fetch("DELETE FROM parked_keys")
    report = await kitchen.redriven(all=True)
    assert (report["state"], counts(report)) == ("stopped", {"failed": 1})
    assert len(await keys(kitchen)) == 1
    kitchen.oven.refused.clear()
    assert counts(await kitchen.redriven(all=True)) == {"applied": 3}
    assert await keys(kitchen) == []


async def test_a_redrive_and_the_consumer_that_write_one_row_both_come_through(kitchen: Kitchen) -> None:
    order, halt = await kitchen.refused(behind=0), Halt()
    kitchen.oven.refused.clear()
    database, others = kitchen.service.database, await batch_of(kitchen, new_id())
    await database.fetch("CREATE TABLE ovens (number int PRIMARY KEY, uses int NOT NULL)")
    await database.fetch("INSERT INTO ovens VALUES (1, 0)")

    async def redriven(_: Sequence[Event[Any]], tx: Tx) -> None:
        await tx.raw.execute("UPDATE ovens SET uses = uses + 1")
        await halt.here()

    async def consumed(_: Sequence[Event[Any]], tx: Tx) -> None:
        await tx.raw.execute("UPDATE ovens SET uses = uses + 1")

    ours, theirs = (
        dict.fromkeys(kitchen.service.service.handlers, BatchHandler(each)) for each in (redriven, consumed)
    )
    stepping = step(kitchen, await begun(kitchen, key=order), ours)
    await halt.reached.wait()
    consuming = asyncio.create_task(BatchProcessor(SERVICE.name, theirs, database).apply(others))
    await ends_or_waits(kitchen, consuming)
    halt.passed.set()
    done: list[object] = [*await asyncio.gather(stepping, consuming)]
    assert done == [True, None]
    assert [row["uses"] for row in await database.fetch("SELECT uses FROM ovens")] == [2]


async def test_an_edit_waits_for_a_redrive_of_its_letter_and_finds_it_handled(kitchen: Kitchen) -> None:
    order, halt = await kitchen.refused(behind=0), Halt()
    kitchen.oven.refused.clear()
    (letter,) = await kitchen.letters()
    data = (await kitchen.get(f"/dead-letters/{letter['id']}"))["payload"]

    async def edit() -> str | None:
        async with kitchen.service.database.transaction() as tx:
            given: dict[str, Any] = {"actor": "ann", "reason": "The till wrote a word."}
            return await editing.edit(tx, SERVICE.name, kitchen.service.service.handlers, letter["id"], data, **given)

    stepping = step(kitchen, await begun(kitchen, key=order), halting(kitchen, halt))
    await halt.reached.wait()
    edited = asyncio.create_task(edit())
    await ends_or_waits(kitchen, edited)
    halt.passed.set()
    done: list[object] = [*await asyncio.gather(stepping, edited)]
    assert done == [True, None]


@pytest.mark.parametrize("how", ["discarded", "resumed"])
async def test_what_waits_behind_a_letter_or_a_pause_goes_on_though_nobody_took_a_step(
    kitchen: Kitchen, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await kitchen.refused(behind=1)
    kitchen.oven.refused.clear()
    first, _ = await kitchen.letters()
    if how == "resumed":
        pause = await kitchen.post("/pauses", 201, what="key", name=order, reason="A look first.")

    def ends(_: Database) -> Database:
        raise OSError("the process ends here")

    with monkeypatch.context() as dying:
        dying.setattr(Database, "for_bulk_commands", property(ends))
        if how == "resumed":
            answer = await kitchen.client.delete(f"/pauses/{pause['id']}")
        else:
            answer = await kitchen.client.post(f"/dead-letters/{first['id']}/discard", json={"reason": "Not one."})
        assert answer.status_code == 200, answer.text
    await kitchen.service.database.fetch("UPDATE jobs SET due = now()")  # a minute later
    async with kitchen.working():
        await eventually(lambda: opened(kitchen))
    assert await kitchen.letters() == []


async def opened(kitchen: Kitchen) -> bool:
    return await keys(kitchen) == []
