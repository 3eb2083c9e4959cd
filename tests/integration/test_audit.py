"""What staff and operators do, and who is refused: a row each, in a chain that shows whatever is done to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from backbone.events.chain import Broken, Head, check
from backbone.ids import new_id
from backbone.publishing import chaining
from backbone.publishing.chaining import chain
from backbone.sealing import sealing
from backbone.sealing.acts import Act
from backbone.storage import audit
from backbone.storage.database import Database
from backbone.values.sealed import FORGOTTEN, holds_sealed
from cli.__main__ import app
from services.kitchen.events import ActsRecorded
from services.kitchen.service import SERVICE as KITCHEN
from services.ledger.service import SERVICE as LEDGER
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, serving
from tests.integration.standing_in import standing_in_for
from tests.integration.test_kitchen import confirmed
from tests.integration.test_orders import body
from tests.issuing import Issuer, bearing, by, issuing
from tests.processes import MASTER_KEY

TOLD = "sliceline.kitchen.acts-recorded.v1"
PRESS = "tickets.press"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(autouse=True)
def master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICELINE_MASTER_KEY", MASTER_KEY)
    monkeypatch.setattr(sealing, "KEPT", 0.0)


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> NewDatabase:
    return cache(new_database)


@pytest.fixture
async def kitchen(database: NewDatabase, issuer: Issuer) -> AsyncIterator[Fed]:
    """A kitchen whose log begins anew."""
    async with fed(KITCHEN, database, issuer=issuer.url) as service:
        await service.database.fetch("TRUNCATE audit, audit_waiting, outbox, data_keys")
        yield service


async def rows_of(service: Fed) -> Rows:
    """The chain, once all that waits is in it."""
    await chain(service.database, service.service.tells_acts)
    return [dict(row) for row in await audit.list_page(service.database, 0, 10_000)]


async def acts(service: Fed) -> list[tuple[str, str, int, int]]:
    """What is in the chain, without who and when."""
    entries = [json.loads(row["entry"]) for row in await rows_of(service)]
    return [(each["what"], each["outcome"], each["status"], each["count"]) for each in entries]


async def shown(service: Fed, issuer: Issuer) -> Rows:
    """What the API tells of the chain."""
    answer = await service.client.get("/audit", headers=bearing(issuer.token("rita", "operations.read")))
    items: Rows = answer.json()["items"]
    return items


async def ticket(kitchen: Fed) -> str:
    order = new_id()
    await kitchen.feed(confirmed(order))
    return order


async def press(kitchen: Fed, issuer: Issuer, order: str, who: str = "kim") -> int:
    answer = await kitchen.client.post(f"/tickets/{order}/prepared", headers=bearing(issuer.token(who, PRESS)))
    return answer.status_code


async def test_an_act_is_a_row_with_its_effect_and_an_event_tells_of_it(kitchen: Fed, issuer: Issuer) -> None:
    order = await ticket(kitchen)
    assert await press(kitchen, issuer, order) == 200
    [row] = await rows_of(kitchen)
    entry = json.loads(row["entry"])
    assert (entry["what"], entry["path"]) == ("POST /tickets/{order}/prepared", f"/tickets/{order}/prepared")
    assert (entry["outcome"], entry["status"]) == ("done", 200)
    assert holds_sealed(entry["actor"])
    [(type_, told)] = await kitchen.published("kitchen")
    assert (type_, told["acts"], told["hash"]) == (TOLD, [row["entry"]], row["hash"])
    assert [(each["actor"], each["entry"]) for each in await shown(kitchen, issuer)] == [("kim", row["entry"])]


async def test_who_may_not_do_what_was_asked_is_named(kitchen: Fed, issuer: Issuer) -> None:
    wrong = bearing(issuer.token("ada", "orders.read.own"))
    assert (await kitchen.client.get("/tickets", headers=wrong)).status_code == 403
    assert (await kitchen.client.get("/tickets")).status_code == 401
    await rows_of(kitchen)
    told = {json.loads(each["entry"])["status"]: each["actor"] for each in await shown(kitchen, issuer)}
    assert told == {403: "ada", 401: "anonymous"}


async def test_what_was_not_done_leaves_no_row_that_says_so(kitchen: Fed, issuer: Issuer) -> None:
    assert await press(kitchen, issuer, new_id()) == 404
    assert await acts(kitchen) == [("POST /tickets/{order}/prepared", "refused", 404, 1)]


async def test_a_command_that_is_sent_again_under_its_key_is_one_act(kitchen: Fed, issuer: Issuer) -> None:
    order, sent = await ticket(kitchen), {"Idempotency-Key": new_id(), **bearing(issuer.token("kim", PRESS))}
    for _ in range(2):
        assert (await kitchen.client.post(f"/tickets/{order}/prepared", headers=sent)).status_code == 200
    assert len(await rows_of(kitchen)) == 1


async def test_what_a_customer_does_is_no_act_and_what_staff_do_for_her_is(
    new_database: NewDatabase, issuer: Issuer
) -> None:
    async with fed(ORDERS, new_database, issuer=issuer.url) as orders:
        for who, scope in (("ada", "orders.place.own"), ("olga", "orders.place")):
            customer = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
            sent = bearing(issuer.token(who, scope))
            assert (await orders.client.post("/orders", json=body(customer=customer), headers=sent)).status_code == 202
        assert await acts(orders) == [("POST /orders", "done", 202, 1)]


async def test_a_command_of_several_transactions_is_written_down_before_them(kitchen: Fed, issuer: Issuer) -> None:
    sent = bearing(issuer.token("olga", "operations.act"))
    assert (await kitchen.client.post("/log-breaks/acknowledge", headers=sent)).status_code == 200
    what = "POST /log-breaks/acknowledge"
    assert await acts(kitchen) == [(what, "begun", 0, 1), (what, "done", 200, 1)]


async def test_many_refusals_of_a_kind_are_two_rows_a_minute(
    kitchen: Fed, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = kitchen.database.now()
    monkeypatch.setattr(type(kitchen.database), "now", lambda _: now)
    wrong = bearing(issuer.token("ada", "orders.read.own"))
    for _ in range(50):
        assert (await kitchen.client.get("/tickets")).status_code == 401
        assert (await kitchen.client.get("/tickets", headers=wrong)).status_code == 403
    first = [("GET /tickets", "refused", 401, 1), ("GET /tickets", "refused", 403, 1)]
    assert await acts(kitchen) == first
    monkeypatch.setattr(type(kitchen.database), "now", lambda _: now + timedelta(minutes=1))
    await kitchen.context.acts.flush()
    assert await acts(kitchen) == [*first, ("GET /tickets", "refused", 401, 49), ("GET /tickets", "refused", 403, 49)]


async def test_concurrent_acts_and_chainers_leave_no_gap(kitchen: Fed, issuer: Issuer) -> None:
    orders = [await ticket(kitchen) for _ in range(30)]
    others = [Database(kitchen.database._url, "kitchen") for _ in range(2)]

    async def chain_for_a_while(database: Database) -> None:
        for _ in range(20):
            await chain(database, ActsRecorded)

    pressed = (press(kitchen, issuer, order, f"kim-{at % 3}") for at, order in enumerate(orders))
    statuses, *_ = await asyncio.gather(asyncio.gather(*pressed), *map(chain_for_a_while, others))
    for each in others:
        await each.close()
    assert statuses == [200] * 30
    assert check(await rows_of(kitchen), await heads(kitchen)) == 30


async def test_who_is_killed_while_chaining_leaves_no_gap(kitchen: Fed, issuer: Issuer) -> None:
    for _ in range(3):
        assert await press(kitchen, issuer, await ticket(kitchen)) == 200
    with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
        await be_killed_while_chaining(kitchen)
    assert await kitchen.published("kitchen") == []
    assert check(await rows_of(kitchen), await heads(kitchen)) == 3


async def be_killed_while_chaining(service: Fed) -> None:
    async with service.database.transaction() as tx:
        assert len(await audit.chain(tx, 2)) == 2
        await tx.raw.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def heads(service: Fed) -> list[Head]:
    return [Head(told["last"], told["hash"]) for _, told in await service.published(service.service.name)]


WHOLE = {
    "kitchen": "{}: 3 rows, whole, as 1 events in the archive tell it.",
    "ledger": "{}: 0 rows, whole, as 0 events in the archive tell it.",
}
INSERTED = """
INSERT INTO audit SELECT 3, '{"forged":true}', previous,
  encode(sha256(convert_to(previous || E'\\n3\\n{"forged":true}', 'UTF8')), 'hex') FROM audit WHERE number = 4
"""
REMADE = """
DO $$ DECLARE one record; before text := repeat('0', 64); BEGIN
  FOR one IN SELECT * FROM audit ORDER BY number LOOP
    UPDATE audit SET previous = before,
      hash = encode(sha256(convert_to(before || E'\\n' || number || E'\\n' || entry, 'UTF8')), 'hex')
    WHERE number = one.number RETURNING hash INTO before;
  END LOOP;
END $$
"""
REPLACED = """
UPDATE audit SET entry = '{"forged":true}',
  hash = encode(sha256(convert_to(previous || E'\\n3\\n{"forged":true}', 'UTF8')), 'hex') WHERE number = 3
"""
CHANGED = "UPDATE audit SET entry = replace(entry, 'prepared', 'baked') WHERE number = 3"


# What is done, and what is said of it: by the rows alone, and with what was published.
NOT_SEEN = ""
TAMPERING = [
    (CHANGED, "Row 3 was changed", "Row 3 was changed"),
    (f"{CHANGED}; {REMADE}", NOT_SEEN, "Row 3 is not the one that was published"),
    ("DELETE FROM audit WHERE number = 3", "Row 3 is missing", "Row 3 is missing"),
    ("DELETE FROM audit WHERE number = 1", "Row 1 is missing", "Row 1 is missing"),
    ("DELETE FROM audit WHERE number IN (2, 3)", "Rows 2 to 3 are missing", "Rows 2 to 3 are missing"),
    (
        "DELETE FROM audit WHERE number = 3; UPDATE audit SET number = number - 1 WHERE number > 3",
        "Row 3 was row 4",
        "Row 3 was row 4",
    ),
    (
        "UPDATE audit SET number = -number WHERE number > 2;"
        f"UPDATE audit SET number = 1 - number WHERE number < 0; {INSERTED}",
        "Row 4 was row 3",
        "Row 3 is not the one that was published",
    ),
    (
        "UPDATE audit SET number = 100 WHERE number = 3; UPDATE audit SET number = 3 WHERE number = 4;"
        "UPDATE audit SET number = 4 WHERE number = 100",
        "Row 3 was row 4",
        "Row 3 was row 4",
    ),
    (REPLACED, "Row 4 follows another row 3", "Row 3 is not the one that was published"),
    ("DELETE FROM audit WHERE number = 5", NOT_SEEN, "The end is cut off: 5 rows were published, 4 are there"),
    ("DELETE FROM audit", NOT_SEEN, "The end is cut off: 5 rows were published, 0 are there"),
]


async def test_whatever_a_superuser_does_to_the_chain_is_found(kitchen: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaining, "MOST", 1)
    await noted(kitchen, 5)
    assert check(await rows_of(kitchen), await heads(kitchen)) == 5
    await kitchen.database.fetch("CREATE TABLE whole AS SELECT * FROM audit")
    for done, by_rows, by_events in TAMPERING:
        async with kitchen.database.transaction() as tx:
            await tx.raw.execute(f"TRUNCATE audit; INSERT INTO audit SELECT * FROM whole; {done}")
        rows = await rows_of(kitchen)
        for said, seen in ((broken(rows, []), by_rows), (broken(rows, await heads(kitchen)), by_events)):
            assert (said.startswith(seen), bool(said)) == (True, bool(seen)), done


async def test_what_is_published_of_a_log_afterwards_hides_nothing(
    kitchen: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaining, "MOST", 1)
    await noted(kitchen, 5)
    await rows_of(kitchen)
    await kitchen.database.fetch("DELETE FROM audit WHERE number = 5")
    await noted(kitchen, 1)
    rows = await rows_of(kitchen)
    assert broken(rows, await heads(kitchen)).startswith("Row 5 is not the one that was published")
    async with kitchen.database.transaction() as tx:
        await tx.raw.execute(f"{CHANGED}; {REMADE}")
    rows = await rows_of(kitchen)
    told = [*await heads(kitchen), *(Head(row["number"], row["hash"]) for row in rows)]
    assert broken(rows, told).startswith("Row 3 is not the one that was published")


async def test_what_staff_is_refused_on_the_short_way_is_a_row_as_well(new_database: NewDatabase) -> None:
    async with fed(ORDERS, new_database) as orders:
        for lines, status in (([{"item": "cola", "quantity": 1}], 202), ([{"item": "cola", "quantity": 2}], 422)):
            sent = {**by("ann"), "Idempotency-Key": "twice"}
            answer = await orders.client.post("/orders", json=body(lines=lines), headers=sent)
            assert answer.status_code == status, answer.text
        assert await acts(orders) == [("POST /orders", "done", 202, 1), ("POST /orders", "refused", 422, 1)]


def broken(rows: Rows, told: list[Head]) -> str:
    """What is said of rows; nothing where they are found whole."""
    try:
        check(rows, told)
    except Broken as found:
        return str(found)
    return ""


async def noted(service: Fed, count: int) -> None:
    """Have so many acts written down, without doing them."""
    pressed = Act(
        at=service.database.now(),
        actor="kim",
        what="POST /tickets/{order}/prepared",
        path="/tickets/7/prepared",
        outcome="done",
        status=200,
        correlationid=new_id(),
    )
    await service.context.acts.write(*[pressed] * count)


async def test_a_person_is_forgotten_and_the_chain_stays_whole(kitchen: Fed, issuer: Issuer) -> None:
    assert await press(kitchen, issuer, await ticket(kitchen)) == 200
    before = await rows_of(kitchen)
    sent = bearing(issuer.token("alma", "customers.forget", "operations.read"))
    told = await kitchen.client.post("/data-keys/forget", json={"person": "kim"}, headers=sent)
    assert (told.status_code, told.json()) == (200, {"destroyed": 1})
    after = await rows_of(kitchen)
    assert after[:1] == before
    assert check(after, await heads(kitchen)) == 2
    shown = (await kitchen.client.get("/audit", headers=sent)).json()["items"]
    assert [each["actor"] for each in shown] == [FORGOTTEN, "alma"]
    assert "kim" not in json.dumps([row["entry"] for row in after])


async def test_the_command_says_whether_logs_are_whole_and_writes_them_out(
    kitchen: Fed, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    await noted(kitchen, 3)
    await rows_of(kitchen)
    [(_, told)] = await kitchen.published("kitchen")
    async with fed(LEDGER, new_database) as ledger:
        await ledger.deliver(_on_its_bus(ledger, told))
        with (
            serving(KITCHEN, kitchen.database._url) as at,
            serving(LEDGER, ledger.database._url) as archive,
            standing_in_for(tmp_path, {"kitchen": at, "ledger": archive}),
        ):
            code, said = await run("verify")
            assert (code, said.splitlines()) == (0, [line.format(name) for name, line in WHOLE.items()])
            code, said = await run("export", "--service", "kitchen")
            exported = [json.loads(line) for line in said.splitlines()]
            assert [(each["number"], each["actor"], each["outcome"]) for each in exported] == [
                (number, "kim", "done") for number in (1, 2, 3)
            ]
            await kitchen.database.fetch("DELETE FROM audit WHERE number = 3")
            code, said = await run("verify", "--service", "kitchen")
            assert (code, "kitchen: BROKEN. The end is cut off: 3 rows were published, 2 are there." in said) == (
                1,
                True,
            )


async def run(*command: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *command])
    return result.exit_code, result.output


def _on_its_bus(ledger: Fed, told: dict[str, Any]) -> Any:
    """The record of an event as it lies in the topic: with its service as the key."""
    record = ledger.record(TOLD, told)
    headers = [(name, b"kitchen" if name == "ce_partitionkey" else value) for name, value in record.headers]
    return type(record)("audit.events", 0, b"kitchen", record.value, headers)
