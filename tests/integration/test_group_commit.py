"""Accepting orders together: one transaction for many, and nobody suffers for another; by both ways in."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backbone.events.payload import Cause
from backbone.ids import new_id
from backbone.storage.database import Database, Tx
from backbone.storage.group_commit import GroupCommit, PendingCommand
from backbone.storage.idempotency import Claim, KeyReused, Reply
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

ORDER = {
    "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
    "currency": "GBP",
    "address": "1 Mill Lane",
    "lines": [{"item": "margherita", "quantity": 1}],
}


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[Database]:
    opened = Database(await asyncio.to_thread(new_database, "orders"), "orders")
    async with opened.transaction() as tx:
        await tx.raw.execute("CREATE TABLE written (name text PRIMARY KEY, transaction text DEFAULT txid_current())")
    yield opened
    await opened.close()


def pending(name: str, key: str | None = None, body: bytes | None = None) -> PendingCommand[str]:
    claim = Claim("POST /things", key, body or name.encode(), body or name.encode()) if key else None
    return PendingCommand(name, Cause(new_id()), Reply(202, {"location": f"/things/{name}"}, name.encode()), claim)


async def write(tx: Tx, commands: Sequence[PendingCommand[str]]) -> None:
    """As the contract asks: what is there already is left alone. The word "bad" is refused by the database."""
    names = [each.item for each in commands]
    await tx.raw.execute("INSERT INTO written SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", names)
    if "bad" in names:
        await tx.raw.execute("SELECT 1 / 0")


async def written(database: Database) -> dict[str, str]:
    async with database.transaction() as tx:
        return {row["name"]: row["transaction"] for row in await tx.raw.fetch("SELECT * FROM written")}


async def commit_all(database: Database, *commands: PendingCommand[str]) -> list[Reply | BaseException]:
    group_commit = GroupCommit(database, write)
    return await asyncio.gather(*map(group_commit.commit, commands), return_exceptions=True)


async def test_those_who_come_together_share_a_transaction(database: Database) -> None:
    commands = [pending(f"thing-{number}") for number in range(200)]
    assert await commit_all(database, *commands) == [each.reply for each in commands]
    stored = await written(database)
    assert len(stored) == 200
    assert len(set(stored.values())) == 1


async def test_a_bad_one_fails_alone(database: Database) -> None:
    names = [f"thing-{number}" for number in range(20)]
    outcomes = await commit_all(database, *map(pending, [*names[:7], "bad", *names[7:]]))
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(failed) == 1
    assert outcomes[7] is failed[0]
    assert set(await written(database)) == set(names)


async def test_twins_in_one_flush_are_written_once_and_answered_alike(database: Database) -> None:
    first, twin, other = pending("a", "k", b"same"), pending("b", "k", b"same"), pending("c", "k", b"another")
    outcomes = await commit_all(database, first, twin, other)
    assert outcomes[:2] == [first.reply, first.reply]
    assert isinstance(outcomes[2], KeyReused)
    assert set(await written(database)) == {"a"}


async def test_a_later_twin_gets_the_kept_answer(database: Database) -> None:
    first = pending("a", "k", b"same")
    await commit_all(database, first)
    assert await commit_all(database, pending("b", "k", b"same")) == [first.reply]
    assert set(await written(database)) == {"a"}


async def test_two_processes_claim_the_same_keys_in_opposite_order_without_deadlock(database: Database) -> None:
    ours = [pending(f"a{number}", f"k{number}", b"same") for number in range(50)]
    theirs = [pending(f"b{number}", f"k{number}", b"same") for number in reversed(range(50))]
    groups = GroupCommit(database, write), GroupCommit(database, write)
    outcomes = await asyncio.gather(
        *(group.commit(each) for group, commands in zip(groups, (ours, theirs), strict=True) for each in commands)
    )
    assert len(await written(database)) == 50
    assert len({outcome.body for outcome in outcomes}) == 50


@pytest.mark.parametrize("keyed", [True, False])
async def test_a_commit_nobody_heard_of_is_settled_by_the_same_flush_again(
    database: Database, keyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks right after the commit: to the caller that looks like one that never happened."""
    transaction = database.transaction
    broken: list[bool] = []

    @asynccontextmanager
    async def breaking_once(cause: Cause | None = None, **patience: Any) -> AsyncIterator[Tx]:
        async with transaction(cause, **patience) as tx:
            yield tx
        if not broken:
            broken.append(True)
            raise ConnectionResetError("after the commit")

    monkeypatch.setattr(database, "transaction", breaking_once)
    commands = [pending(f"thing-{number}", f"k{number}" if keyed else None) for number in range(5)]
    assert await commit_all(database, *commands) == [each.reply for each in commands]
    monkeypatch.undo()
    assert broken
    assert len(await written(database)) == 5


async def post(orders: Fed, order: Any = ORDER, **headers: str) -> httpx.Response:
    return await orders.client.post("/orders", json=order, headers=headers)


async def count(orders: Fed, table: str) -> int:
    async with orders.database.transaction() as tx:
        return int(await tx.raw.fetchval(f"SELECT count(*) FROM {table}"))


# A correlation id of the client's own takes a request off the express lane.
ORDINARY = {"X-Correlation-Id": new_id()}


async def test_both_ways_in_answer_alike(orders: Fed) -> None:
    express, ordinary = await post(orders), await post(orders, **ORDINARY)
    assert express.status_code == ordinary.status_code == 202
    assert set(express.headers) == set(ordinary.headers)
    assert express.headers["location"] == f"/orders/{express.json()['id']}"
    assert [shape(answer.json()) for answer in (express, ordinary)] == [shape(express.json())] * 2
    assert (await orders.client.get(express.headers["location"])).json() == express.json()


def shape(order: dict[str, Any]) -> dict[str, Any]:
    """An order without what differs between two of the same."""
    entries = [{**entry, "at": ...} for entry in order["timeline"]]
    expected = {**order["expected"], "at": ...}
    return {**order, "id": ..., "placed_at": ..., "since": ..., "expected": expected, "timeline": entries}


@pytest.mark.parametrize("first", [{}, ORDINARY])
@pytest.mark.parametrize("second", [{}, ORDINARY])
async def test_a_key_is_the_same_key_on_both_ways(orders: Fed, first: dict[str, str], second: dict[str, str]) -> None:
    answer = await post(orders, **{"Idempotency-Key": "k", **first})
    again = await post(orders, **{"Idempotency-Key": '"k"', **second})
    other = await post(orders, {**ORDER, "address": "2 Mill Lane"}, **{"Idempotency-Key": "k", **second})
    assert again.content == answer.content
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in answer.headers
    assert again.headers["x-correlation-id"] == answer.headers["x-correlation-id"]
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert other.headers["x-correlation-id"] == other.json()["correlationid"]
    assert await count(orders, "orders") == await count(orders, "outbox") == 1


async def test_the_same_order_ten_times_at_once_on_both_ways_is_one_order(orders: Fed) -> None:
    requests = [post(orders, **{"Idempotency-Key": "k", **(ORDINARY if number % 2 else {})}) for number in range(10)]
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert await count(orders, "orders") == await count(orders, "outbox") == 1


BROKEN: list[tuple[bytes, int]] = [
    (b"{", 400),
    (b'{"lines": 1, "lines": 2}', 400),
    (b'"\xff"', 400),
    (json.dumps({**ORDER, "surprise": 1}).encode(), 422),
    (json.dumps({**ORDER, "currency": "EUR"}).encode(), 422),
    (json.dumps({**ORDER, "lines": [{"item": "unobtainium", "quantity": 1}]}).encode(), 422),
    (json.dumps({**ORDER, "lines": [{"item": "cola", "quantity": 10**30}]}).encode(), 422),
    (b" " * 70_000, 413),
]


@pytest.mark.parametrize(("body", "status"), BROKEN)
async def test_what_is_not_sound_is_refused_in_the_same_words_on_both_ways(
    orders: Fed, body: bytes, status: int
) -> None:
    plain = {"content-type": "application/json"}
    express = await orders.client.post("/orders", content=body, headers=plain)
    ordinary = await orders.client.post("/orders", content=body, headers={**plain, **ORDINARY})
    assert express.status_code == ordinary.status_code == status
    assert {**express.json(), "correlationid": ...} == {**ordinary.json(), "correlationid": ...}
    assert await count(orders, "orders") == await count(orders, "outbox") == 0


async def test_orders_of_one_moment_share_a_transaction_and_each_is_published_for_itself(orders: Fed) -> None:
    answers = await asyncio.gather(*(post(orders) for _ in range(60)))
    ids = {answer.json()["id"] for answer in answers}
    async with orders.database.transaction() as tx:
        rows = await tx.raw.fetch("SELECT aggregateid, correlationid, sequence, xmin::text FROM outbox")
    assert {row["aggregateid"] for row in rows} == ids
    assert {row["correlationid"] for row in rows} == {answer.headers["x-correlation-id"] for answer in answers}
    assert {row["sequence"] for row in rows} == {1}
    assert len({row["xmin"] for row in rows}) < 30
    assert await count(orders, "jobs") == 60


DOUGH = {"sku": "dough", "quantity": 1}
FACTS = (
    ("inventory.stock-reserved", {"lines": [DOUGH]}),
    (
        "inventory.stock-rejected",
        {"lines": [{"sku": "dough", "quantity": 1}], "short": [{"sku": "dough", "quantity": 1, "available": 0}]},
    ),
    ("payments.payment-received", {"amount": {"amount": 1200, "currency": "GBP"}, "reference": "r", "reason": None}),
    ("payments.payment-failed", {"amount": {"amount": 1200, "currency": "GBP"}, "reference": "r", "reason": "no"}),
    ("kitchen.pizza-prepared", {"by": "ann"}),
    ("kitchen.pizza-baked", {"by": "ann"}),
    ("delivery.order-dispatched", {"by": "bob"}),
    ("delivery.order-delivered", {"by": "bob"}),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(FACTS)), min_size=1, max_size=12))
async def test_a_batch_of_facts_does_what_they_would_do_one_by_one(orders: Fed, facts: list[Any]) -> None:
    together, alone = [[(await post(orders)).json()["id"] for _ in range(2)] + [new_id()] for _ in range(2)]

    def events(ids: list[str]) -> list[tuple[str, dict[str, Any]]]:
        return [(f"sliceline.{name}.v1", {"order": ids[which], **data}) for which, (name, data) in facts]

    await orders.feed(*events(together))
    for event in events(alone):
        await orders.feed(event)
    for batch, single in zip(together, alone, strict=True):
        assert await story(orders, batch) == await story(orders, single)


async def story(orders: Fed, order: str) -> Any:
    """Everything about an order that does not depend on its id or on the clock."""
    async with orders.database.transaction() as tx:
        row = await tx.raw.fetchrow("SELECT status, reason, facts, delayed, version FROM orders WHERE id = $1", order)
        entries = await tx.raw.fetch(
            "SELECT status, event, text FROM timeline WHERE order_id = $1 ORDER BY position", order
        )
        events = await tx.raw.fetch(
            "SELECT type, sequence, payload FROM outbox WHERE aggregateid = $1 ORDER BY position", order
        )
        watched = await tx.raw.fetchval("SELECT count(*) FROM jobs WHERE key = $1", order)
    published = [(event["type"], event["sequence"], event["payload"].replace(order, "…")) for event in events]
    return row and tuple(row), [tuple(entry) for entry in entries], published, watched
