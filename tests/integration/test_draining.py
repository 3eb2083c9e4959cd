"""A process that stops while clients send on connections they keep: each request that came is answered."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.integration.raw_http import Reply, placing, request, wire
from tests.integration.service_process import ServiceProcess, orders_api


@pytest.fixture
async def orders(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    async with orders_api(new_database, tmp_path / "log") as orders:
        yield orders


async def served(address: str, sent: bytes, pause: float) -> list[Reply]:
    """What a client is answered that sends as long as its connection is kept. A request without an answer raises."""
    async with wire(address) as line:
        replies: list[Reply] = []
        while not (replies and replies[-1].is_last):
            await line.send(sent)
            replies.append(await line.reply())
            await asyncio.sleep(pause)
        assert await line.ended() == b""
        return replies


CLIENTS = [
    # What each sends, how long it pauses between an answer and the next request, and what it is answered.
    # Where orders are answered late on a busy machine, some are told to come again: an answer, too.
    (placing(), 0, {202, 429}),
    (placing("Content-Encoding: identity"), 0.1, {202, 429}),
    (request("/menu"), 0, {200}),
    (request("/menu"), 0.4, {200}),
    (request("/nowhere"), 0.7, {404}),
]


async def test_every_connection_ends_with_an_answer_and_none_without(orders: ServiceProcess) -> None:
    address = str(orders.client.base_url)
    clients = [
        (asyncio.create_task(served(address, sent, pause)), statuses)
        for sent, pause, statuses in CLIENTS
        for _ in range(10)
    ]
    async with wire(address) as line:
        assert await asyncio.wait([task for task, _ in clients], timeout=1.5)
        await line.send(placing() * 50)
        assert await orders.stop() == 0
        assert {(await line.reply()).status for _ in range(50)} <= {202, 429}
    for task, statuses in clients:
        replies = await task
        assert {reply.status for reply in replies} <= statuses
        assert [reply.is_last for reply in replies] == [False] * (len(replies) - 1) + [True]


async def test_an_idle_connection_is_kept_for_a_moment_and_its_request_answered(orders: ServiceProcess) -> None:
    address = str(orders.client.base_url)
    async with wire(address) as idle, wire(address) as probe, wire(address) as silent:
        for line in (idle, probe):
            await line.send(request())
            assert not (await line.reply()).is_last
        orders.process.signal(signal.SIGTERM)
        await until_nobody_is_accepted(address)
        await idle.send(placing())
        reply = await idle.reply()
        assert (reply.status, reply.is_last) == (202, True)
        await probe.send(request("/health/ready"))
        assert (await probe.reply()).problem(503)["waiting"] == {"process": "stops"}
        assert await silent.ended() == b""
    assert await orders.process.ended(10) == 0


async def until_nobody_is_accepted(address: str) -> None:
    with contextlib.suppress(ConnectionRefusedError):
        async with asyncio.timeout(5):
            while True:
                async with wire(address):
                    await asyncio.sleep(0.01)
