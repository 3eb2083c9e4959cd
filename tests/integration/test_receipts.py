"""The receipts of examples/ move from version 1 of an event to version 2 while orders are confirmed: one mail each."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from email import message_from_bytes
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from backbone.ids import new_id
from backbone.publishing.relay import Relay
from backbone.service import Service
from backbone.storage import migrations
from backbone.storage.database import Database
from backbone.values.brokers import Brokers
from cli.readers import look
from deployment.catalogue import sample_of
from deployment.reading import why_not
from examples.receipts import release1, release2, release3
from examples.receipts.mailing import MAIL, Settings
from examples.receipts.running import MIGRATIONS
from services.orders.events import OrderConfirmed, OrderConfirmedV1
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed
from tests.integration.service_process import ServiceProcess, process_of
from tests.integration.things import create_topic, running
from tests.waiting import eventually

pytestmark = pytest.mark.long

V1, V2 = OrderConfirmedV1.TYPE, OrderConfirmed.TYPE
ONE, TWO = sample_of(V1), sample_of(V2)
A_SECOND = 40
"""Orders that are confirmed in a second."""


@dataclass
class Post:
    """A mail server that counts the mails of each Message-ID."""

    port: int = 0
    mails: Counter[str] = field(default_factory=Counter)

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        mail = message_from_bytes(envelope.original_content or b"")
        self.mails[mail["Message-ID"].strip("<>").partition("@")[0]] += 1
        return "250 OK"


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    opened = Post()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(opened), "127.0.0.1", 0)
    opened.port = server.sockets[0].getsockname()[1]
    yield opened
    server.close()


@dataclass
class Load:
    """Confirms orders as orders does, in both versions at once."""

    orders: Database
    confirmed: list[str] = field(default_factory=list)

    async def go_on(self) -> None:
        while True:
            async with self.orders.transaction() as tx:
                for _ in range(A_SECOND // 20):
                    self.confirmed.append(order := new_id())
                    versions = (msgspec.convert({**ONE, "order": order}, OrderConfirmedV1),)
                    tx.publish(*versions, msgspec.convert({**TWO, "order": order}, OrderConfirmed), key=order)
            await asyncio.sleep(1 / 20)


@asynccontextmanager
async def loading(new_database: NewDatabase, kafka: Brokers) -> AsyncIterator[Load]:
    database = Database(await asyncio.to_thread(new_database, "orders"), "orders")
    load = Load(database)
    async with running(Relay(database, kafka, poll=0.05)):
        going_on = asyncio.create_task(load.go_on())
        yield load
        going_on.cancel()
        await asyncio.wait([going_on])
        await eventually(lambda: _is_empty(database))
    await database.close()


async def _is_empty(database: Database) -> bool:
    return not await database.fetch("SELECT FROM outbox LIMIT 1")


@dataclass
class Replicas:
    """Two processes of the listener, replaced one by one by a release."""

    settings: dict[str, str]
    log: Path
    now: list[tuple[AsyncExitStack, ServiceProcess]] = field(default_factory=list)

    async def start(self, release: int) -> None:
        stack = AsyncExitStack()
        log = self.log / f"{release}-{new_id()}.log"
        one = await stack.enter_async_context(process_of(f"examples.receipts.release{release}", log, **self.settings))
        self.now.append((stack, one))
        await one.until_waiting_for()

    async def replace(self, release: int) -> None:
        for _ in range(2):
            stack, oldest = self.now.pop(0)
            assert await oldest.stop() == 0
            await stack.aclose()
            await self.start(release)

    async def stop(self) -> None:
        for stack, _ in self.now:
            await stack.aclose()

    async def against(self) -> list[str]:
        """What the listener has against retiring version 1, as `./sliceline contracts retire` asks these two."""
        seen = await asyncio.to_thread(look, [str(each.client.base_url) for _, each in self.now])
        return [said for said in why_not(V1, seen, date(2099, 1, 1)) if "receipts" in said]

    async def are_seen_reading_version_1(self) -> bool:
        return any("receipts reads it: " in said for said in await self.against())

    async def are_seen_reading_it_no_more(self) -> bool:
        return not await self.against()


async def test_the_listener_moves_to_version_2_under_load_and_mails_each_receipt_once(
    new_database: NewDatabase,
    kafka: Brokers,
    empty_database: str,
    post: Post,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cli.readers.find", lambda: None)
    for name, value in kafka.environment().items():
        monkeypatch.setenv(name, value)
    await create_topic(kafka, "orders.events", 12)
    await asyncio.to_thread(migrations.upgrade, "receipts", empty_database, MIGRATIONS)
    replicas = Replicas({"database_url": empty_database, "smtp_port": str(post.port)}, tmp_path)
    try:
        await asyncio.gather(replicas.start(1), replicas.start(1))
        async with loading(new_database, kafka) as load:
            await eventually(lambda: len(post.mails) > A_SECOND)
            await eventually(replicas.are_seen_reading_version_1)
            await replicas.replace(2)
            await replicas.replace(3)
            count = len(load.confirmed)
            await eventually(lambda: len(post.mails) > count)
            await eventually(replicas.are_seen_reading_it_no_more)
        noted = await _noted(empty_database, len(load.confirmed))
    finally:
        await replicas.stop()
    assert post.mails == dict.fromkeys(load.confirmed, 1)
    total: Any = TWO["total"]
    assert noted == dict.fromkeys(load.confirmed, (total["amount"], total["currency"]))


async def _noted(url: str, count: int) -> dict[str, tuple[int, str]]:
    """The receipts that are noted as sent, as soon as there are so many and no mail is due."""
    database = Database(url, "receipts")

    async def all_noted() -> list[asyncpg.Record] | None:
        rows = await database.fetch("SELECT order_id, amount, currency FROM receipts")
        is_over = len(rows) >= count and not await database.fetch("SELECT FROM jobs WHERE kind = $1", MAIL)
        return rows if is_over else None

    rows = await eventually(all_noted)
    await database.close()
    return {row["order_id"]: (row["amount"], row["currency"]) for row in rows}


RELEASES: dict[int, Service[Settings]] = {1: release1.SERVICE, 2: release2.SERVICE, 3: release3.SERVICE}


async def test_releases_that_stand_beside_each_other_owe_one_receipt_whoever_gets_which_version(
    empty_database: str,
) -> None:
    """Version 1 comes first; a replica may be replaced between the two. From 3 to 1 is why there is a 2."""
    await asyncio.to_thread(migrations.upgrade, "receipts", empty_database, MIGRATIONS)
    database = Database(empty_database, "receipts")
    owed: dict[tuple[int, int], int] = {}
    for first, second in product(RELEASES, repeat=2):
        of = {each: Fed(RELEASES[each], database, None, None) for each in (first, second)}  # type: ignore[arg-type]
        order = new_id()
        one, two = (of[first].record(V1, {**ONE, "order": order}), of[second].record(V2, {**TWO, "order": order}))
        occurrence = dict(one.headers)["ce_occurrenceid"]
        headers = [(name, occurrence if name == "ce_occurrenceid" else value) for name, value in two.headers]
        await of[first].deliver(one)
        await of[second].deliver(replace(two, headers=headers))
        owed[first, second] = len(await database.fetch("SELECT FROM jobs WHERE key = $1", order))
    assert owed == {pair: int(pair != (3, 1)) for pair in owed}
    await database.close()
