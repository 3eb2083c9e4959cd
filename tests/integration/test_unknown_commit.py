"""A commit whose answer is lost: what a caller is told to do then, with an Idempotency-Key and without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from backbone.service import Service
from local.ports import HOST, free_port
from services.carts.service import SERVICE as CARTS
from services.inventory.service import SERVICE as INVENTORY
from services.orders.service import SERVICE as ORDERS
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.integration.test_group_commit import ORDER
from tests.waiting import eventually

UNKNOWN = "Whether this was done is not known."
ONCE_MORE = f"{UNKNOWN} Send it again under the same Idempotency-Key: it is done once."
LOOK_FIRST = f"{UNKNOWN} Look first, and send it again only if it was not"
KEY = {"Idempotency-Key": "k"}


class Wire:
    """A way to Postgres that is cut when a message with these words has passed, before the answer comes back.

    `closes`: nobody gets through after that.
    """

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._port = free_port()
        self._carrying: set[asyncio.Task[None]] = set()
        self.cut_at: bytes | None = None
        self.closes = False
        self.is_closed = False
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"postgresql://{self._server.username}:{self._server.password}@{HOST}:{self._port}{self._server.path}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        async with await asyncio.start_server(self._accept, HOST, self._port):
            yield self
            await asyncio.gather(*self._carrying)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_closed:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._server.hostname, self._server.port)
        answering = asyncio.create_task(_pump(there, writer))
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.cut_at is not None and self.cut_at in data:
                    await _end(answering)
                    await self._last_words(data, there, back)
                    break
                back.write(data)
        await _end(answering)
        for end in (writer, back):
            end.transport.abort()
        await asyncio.sleep(0)  # their sockets are closed in the next round of the loop

    async def _last_words(self, data: bytes, there: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """The server hears them, does as it is told, and goes, because nobody is there any more."""
        self.cuts += 1
        self.is_closed = self.closes
        back.write(data)
        back.write_eof()
        await there.read()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def behind_a_wire(service: Service[Any], new_database: NewDatabase, name: str) -> AsyncIterator[tuple[Fed, Wire]]:
    url = await asyncio.to_thread(new_database, name)
    async with Wire(url).open() as wire, fed(service, lambda _: wire.url) as served:
        yield served, wire


@pytest.fixture
async def inventory(new_database: NewDatabase) -> AsyncIterator[tuple[Fed, Wire]]:
    async with behind_a_wire(INVENTORY, new_database, "inventory") as made:
        yield made


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[tuple[Fed, Wire]]:
    async with behind_a_wire(ORDERS, new_database, "orders") as made:
        yield made


@pytest.fixture
async def carts(new_database: NewDatabase) -> AsyncIterator[tuple[Fed, Wire]]:
    async with behind_a_wire(CARTS, new_database, "carts") as made:
        yield made


async def adjust(service: Fed, headers: dict[str, str]) -> httpx.Response:
    body = {"channel": "shop-till", "reason": "sold over the counter", "change": 1}
    return await service.client.post("/stock/garlic/adjustments", json=body, headers=headers)


async def order(service: Fed, headers: dict[str, str]) -> httpx.Response:
    return await service.client.post("/orders", json=ORDER, headers=headers)


def told(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    return str(answer.json()["detail"])


async def on_hand(service: Fed) -> int:
    return int((await service.client.get("/stock/garlic")).json()["on_hand"])


async def test_without_a_key_the_caller_is_told_to_look_first(inventory: tuple[Fed, Wire]) -> None:
    service, wire = inventory
    before = await on_hand(service)
    wire.cut_at = b"COMMIT"
    assert LOOK_FIRST in told(await adjust(service, {}))
    wire.cut_at = None
    assert await on_hand(service) == before + 1  # it was done, and again it would be done twice


async def test_with_a_key_the_same_request_again_is_done_once(inventory: tuple[Fed, Wire]) -> None:
    service, wire = inventory
    before = await on_hand(service)
    wire.cut_at = b"COMMIT"
    assert told(await adjust(service, KEY)) == ONCE_MORE
    wire.cut_at = None
    assert (await adjust(service, KEY)).status_code == 200
    assert await on_hand(service) == before + 1


@pytest.mark.parametrize("words", [b"BEGIN", b"UPDATE stock", b"INTO outbox"])
async def test_what_was_lost_before_its_commit_can_be_sent_again_without_a_key(
    inventory: tuple[Fed, Wire], words: bytes
) -> None:
    service, wire = inventory
    before = await on_hand(service)
    wire.cut_at = words
    assert UNKNOWN not in told(await adjust(service, {}))
    wire.cut_at = None
    assert await on_hand(service) == before


async def test_an_order_whose_first_try_may_count_is_not_called_undone_by_the_last(orders: tuple[Fed, Wire]) -> None:
    """The server was away for good after the commit: all later tries found nobody."""
    service, wire = orders
    assert (await order(service, {})).status_code == 202  # the menu is read
    wire.cut_at, wire.closes = b"COMMIT", True
    assert LOOK_FIRST in told(await order(service, {}))
    wire.cut_at, wire.is_closed = None, False
    assert len((await service.client.get("/orders")).json()["items"]) == 2


async def test_an_item_whose_commit_nobody_heard_of_is_added_once_without_a_key(carts: tuple[Fed, Wire]) -> None:
    """What is decided where it is written has no id of its own to be known by, so it has a key."""
    service, wire = carts
    wire.cut_at = b"COMMIT"
    adding = asyncio.create_task(service.client.post("/carts/c/items", json={"item": "cola"}))
    await eventually(lambda: wire.cuts > 0)
    wire.cut_at = None
    assert (await adding).status_code == 202
    assert (await service.client.get("/carts/c")).json()["lines"] == [{"item": "cola", "quantity": 1}]
