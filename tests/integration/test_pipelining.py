"""Requests sent without waiting for answers: behind an event stream, which may take for ever."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.raw_http import Wire, placing, request, wire
from tests.waiting import eventually


@pytest.fixture
def address(new_database: NewDatabase) -> Iterator[str]:
    with serving(SERVICE, new_database("orders"), streams=1) as address:
        yield address


@asynccontextmanager
async def following(address: str) -> AsyncIterator[Wire]:
    """A connection whose answer is a stream that has begun."""
    async with wire(address) as line:
        await line.send(placing())
        order = (await line.reply()).json()["id"]
        await line.send(request(f"/orders/{order}/stream"))
        assert (await line.reply()).status == 200
        yield line


async def test_requests_that_wait_take_little_room(address: str) -> None:
    async with following(address) as line:
        for _ in range(10):
            line.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
            await until_looked_at(address)
        gc.collect()
        held = sum(isinstance(each, RequestResponseCycle) for each in gc.get_objects())
        assert held < 150


async def test_a_client_that_goes_away_gives_its_stream_back_whatever_waits_behind_it(address: str) -> None:
    async with following(address) as line:
        await line.send(request("/menu") * 3)
        await until_looked_at(address)
        line.writer.close()
        await eventually(lambda: can_follow(address), 5)


async def test_requests_that_had_to_wait_are_all_answered_in_turn(address: str) -> None:
    async with wire(address) as line:
        await line.send((request("/menu") * 99 + request("/nowhere")) * 10)
        replies = [await line.reply() for _ in range(1000)]
    assert [reply.status for reply in replies] == ([200] * 99 + [404]) * 10


async def until_looked_at(address: str) -> None:
    """Answers on another connection come after a look at all that was sent before."""
    async with wire(address) as line:
        for _ in range(2):
            await line.send(request())
            assert (await line.reply()).status == 200


async def can_follow(address: str) -> bool:
    async with wire(address) as line:
        await line.send(placing())
        order = (await line.reply()).json()["id"]
        await line.send(request(f"/orders/{order}/stream"))
        return (await line.reply()).status == 200
