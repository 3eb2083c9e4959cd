"""A shop that lost its Kafka, and later two of its databases, is itself again after one command; nothing happens twice.

A small shop, of what a drink's order passes, which `./sliceline` starts and stops as it does for its owner.
"""

import asyncio
import secrets
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from deployment.doors import OPERATOR
from local import ports, postgres, programs
from local.layout import FIXED, Layout
from tests.copies import FIRST_PORT, say, shop_of
from tests.journal import Journal
from tests.processes import System
from tests.system import Shop
from tests.waiting import eventually

HAS = ("orders", "inventory", "payments", "delivery", "loyalty", "notifications", "ledger")
RESTORED = ("payments", "notifications")
NUMBERED_TWICE = "SELECT topic, key, sequence FROM events GROUP BY 1, 2, 3 HAVING count(*) > 1"
CREDITED = "SELECT customer_id, count(*) FROM entries GROUP BY 1"


@dataclass
class Owner:
    """Whoever runs a shop in a folder of their own."""

    tree: Path
    layout: Layout
    shop: Shop

    async def say(self, *words: str) -> str:
        """Give a command, which succeeds; returns what it says."""
        return await say(self.tree, *words)

    async def down(self) -> None:
        await self.shop.close()
        self.shop._pools.clear()
        await self.say("down")

    async def execute(self, *statements: str) -> None:
        """Do something to the databases of the stopped shop."""
        server = await asyncio.to_thread(postgres.start, self.layout.folder("postgres"))
        try:
            connection = await asyncpg.connect(server.url)
            for statement in statements:
                await connection.execute(statement)
            await connection.close()
        finally:
            await asyncio.to_thread(server.stop)

    async def pause(self, service: str) -> int:
        """Have a consumer miss what comes, until it is resumed; returns the pause."""
        body = {"what": "consumer", "name": service, "reason": "It is to miss something"}
        answer = await self.shop.http.post(self.shop.url(service, "/pauses"), json=body)
        return int(answer.raise_for_status().json()["id"])

    async def resume(self, service: str, pause: int) -> None:
        answer = await self.shop.http.delete(self.shop.url(service, f"/pauses/{pause}"))
        answer.raise_for_status()

    async def charges(self) -> Counter[str]:
        """How often each order was charged, by the provider's account."""
        return Counter(each["reference"] for each in await self.shop.ledger() if each["kind"] == "charge")

    async def mailed(self) -> Counter[str]:
        """How many mails each customer got since the mail server was started, with the shop."""
        return Counter(mail["To"][0]["Address"] for mail in await self.shop.mails())

    async def mailed_to(self, *names: str) -> None:
        """Return when each of these has got their mail, since the shop was started, and payments and mails are done.

        Fails when somebody else got one, or somebody more than one.
        """
        expected = {f"{name}@example.com": 1 for name in names}

        async def all_have() -> bool:
            return expected.keys() <= (await self.mailed()).keys()

        await eventually(all_have, what=f"mails to {names}")
        await eventually(self._nothing_is_to_do, what="all jobs done")
        assert await self.mailed() == expected

    async def _nothing_is_to_do(self) -> bool:
        return not any([await self.shop.fetch(name, "SELECT kind FROM jobs") for name in RESTORED])


@pytest.fixture
async def owner(tmp_path: Path) -> AsyncIterator[Owner]:
    tree = shop_of(tmp_path / "shop", HAS)
    layout, listening = _free_layout(tree)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        shop = Shop(System("", layout.doors(), layout.logs, listening), client, Journal(layout.brokers(OPERATOR)))
        owner = Owner(tree, layout, shop)
        await owner.say("up", "--detach", "--no-robot", "--port-offset", str(layout.offset))
        try:
            shop.system.postgres = programs.admin_url(layout)
            yield owner
        finally:
            await owner.down()


def _free_layout(tree: Path) -> tuple[Layout, dict[str, int]]:
    """Where the shop may be, and the ports of its services and the world outside there."""
    usual = {**FIXED, **{name: FIRST_PORT + at for at, name in enumerate(HAS)}}
    while True:
        offset = 20_000 + secrets.randbelow(20_000)
        moved = {name: port + offset for name, port in usual.items()}
        if not ports.taken(moved.values()):
            return Layout(offset, home=tree / ".sliceline"), moved


@pytest.mark.long
async def test_what_a_shop_lost_is_made_good_by_one_command_and_orders_under_way_end_and_nothing_happens_twice(
    owner: Owner,
) -> None:
    shop = owner.shop
    done, under_way = [await shop.place({"water": 1}, customer=name) for name in ("ann", "bob")]
    await shop.complete(done)
    await owner.mailed_to("ann", "bob")
    pause = await owner.pause("payments")
    missed = await shop.place({"water": 1}, customer="eve")
    await eventually(lambda: _reserved(shop, missed), what="the order that payments misses is archived")
    await owner.down()

    shutil.rmtree(owner.layout.folder("kafka"))
    await owner.execute(*(f'CREATE DATABASE "{each}_backup" TEMPLATE "{each}" OWNER "{each}"' for each in RESTORED))
    assert "payments: 1 missed events applied, " in await owner.say("heal")
    await owner.resume("payments", pause)
    for order in (under_way, missed):
        await shop.complete(order)
    await owner.mailed_to("eve")
    once = Counter([done, under_way, missed])
    assert await owner.charges() == once

    for service in RESTORED:
        assert f"0 events were applied by {service}; " in await owner.say("replay", "--to", service, "--apply")
    await owner.mailed_to("eve")
    assert await owner.charges() == once
    await owner.down()

    await owner.execute(
        *(f'DROP DATABASE "{each}"' for each in RESTORED),
        *(f'ALTER DATABASE "{each}_backup" RENAME TO "{each}"' for each in RESTORED),
    )
    healed = await owner.say("heal", *RESTORED)
    assert "payments: 1 missed events applied, " in healed
    await owner.resume("payments", pause)
    last = await shop.place({"water": 1}, customer="joe")
    await shop.complete(last)
    await owner.mailed_to("joe")
    assert await owner.charges() == Counter([done, under_way, missed, last])
    assert await shop.fetch("ledger", NUMBERED_TWICE) == []
    credited = {row["customer_id"]: row["count"] for row in await shop.fetch("loyalty", CREDITED)}
    assert credited == dict.fromkeys(("ann", "bob", "eve", "joe"), 1)


async def _reserved(shop: Shop, order: str) -> bool:
    """Whether all that an order sets off without being paid is in the archive."""
    query = "SELECT type FROM events WHERE key = $1"
    return len(await shop.fetch("ledger", query, order)) == 2
