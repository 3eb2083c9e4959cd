"""A request that the stop cuts off: its client is told that nobody knows whether it was done, and how to go on."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from backbone.application import create_application
from backbone.context import Context
from backbone.http import observing
from backbone.storage.database import Database
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import in_one_piece
from tests.integration.raw_http import Reply, placing, request, wire
from tests.integration.service_process import process_of
from tests.integration.test_group_commit import ORDER
from tests.integration.test_unknown_commit import LOOK_FIRST, ONCE_MORE
from tests.issuing import SOMEBODY, by
from tests.waiting import eventually

KEY, UNUSUAL = "Idempotency-Key: k", "Content-Encoding: identity"
EXPRESS, ORDINARY = placing(), placing(UNUSUAL)

# A commit that takes longer than a stop waits for.
SLOW = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON orders DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION dawdle()
"""
SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await asyncio.to_thread(new_database, "orders")


@pytest.fixture
async def database(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def ask(address: str, sent: bytes) -> Reply:
    async with wire(address) as line:
        await line.send(sent)
        return await line.reply()


def cancelling(order: str) -> bytes:
    return request(f"/orders/{order}/cancel", method="POST")


async def test_whoever_is_cut_off_is_told_whether_to_send_again(
    url: str, database: "asyncpg.Connection[Any]", tmp_path: Path
) -> None:
    async with process_of("services.orders.service", tmp_path / "log", "--roles", "api", database_url=url) as orders:
        await orders.until_waiting_for()
        address = str(orders.client.base_url)
        known = (await ask(address, EXPRESS)).json()["id"]
        await database.execute(SLOW)
        sent = (EXPRESS, ORDINARY, placing(KEY), placing(KEY, UNUSUAL), cancelling(known))
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(wire(address)) for _ in sent]
            for line, each in zip(lines, sent, strict=True):
                await line.send(each)
            await eventually(lambda: sleeps(database, 2))  # a flush of orders, and the cancellation
            orders.process.signal(signal.SIGTERM)
            replies = [await line.reply() for line in lines]
        assert await orders.process.ended(10) == 0
        logged = [line for line in orders.lines() if line.get("action") == "request-failed"]
        assert "Traceback" not in orders.output()
    problems = [reply.problem(503) for reply in replies]
    assert [LOOK_FIRST in problem["detail"] for problem in problems] == [True, True, False, False, True]
    assert [problem["detail"] == ONCE_MORE for problem in problems] == [False, False, True, True, False]
    assert {reply.headers["retry-after"] for reply in replies} == {"1"}
    assert {line["correlationid"] for line in logged} == {problem["correlationid"] for problem in problems}


async def sleeps(database: "asyncpg.Connection[Any]", count: int) -> bool:
    return bool(await database.fetchval(SLEEPERS) == count)


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "identity"}], ids=["express", "ordinary"])
async def test_only_the_stop_makes_an_answer_of_a_cancelled_request(
    url: str, database: "asyncpg.Connection[Any]", headers: dict[str, str]
) -> None:
    context = Context(ORDERS.settings(database_url=url), Database(url, "orders"))
    transport = httpx.ASGITransport(in_one_piece(create_application(ORDERS, context)))
    count = observing.requests.labels("POST", "/orders", 503)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=by(SOMEBODY)) as client:
        await client.post("/orders", json=ORDER)  # the menu is read
        await database.execute(SLOW)
        stays, ends = (asyncio.create_task(client.post("/orders", json=ORDER, headers=headers)) for _ in range(2))
        await eventually(lambda: sleeps(database, 1))
        before = count._value.get()
        ends.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ends
        assert count._value.get() == before
        context.stopping.set()
        stays.cancel()
        [answer] = await asyncio.gather(stays, return_exceptions=True)
        assert isinstance(answer, httpx.Response)
        assert answer.status_code == 503
        assert count._value.get() == before + 1
    await context.close()
