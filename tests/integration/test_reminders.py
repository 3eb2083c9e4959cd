"""Reminders on a real database, with the real worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.worker import Worker
from services.reminders.decisions import REMIND
from services.reminders.service import SERVICE
from services.reminders.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.one_service import Data, Fed, fed
from tests.integration.things import running
from tests.waiting import eventually

ADA = {"id": "ada", "name": "Ada", "email": "ada@example.com"}
LINES = [{"item": "margherita", "quantity": 2}]
SOON = 0.3


def added(cart: str, version: int = 1, **changes: Any) -> tuple[str, Data]:
    said = {"cart": cart, "version": version, "item": "margherita", "quantity": 2, "lines": LINES, "customer": ADA}
    return "sliceline.carts.item-added-to-cart.v1", {**said, **changes}


def removed(cart: str, *lines: Any) -> tuple[str, Data]:
    said = {"cart": cart, "version": 1, "item": "margherita", "quantity": 1, "lines": lines}
    return "sliceline.carts.item-removed-from-cart.v1", said


def checked_out(cart: str, version: int = 1) -> tuple[str, Data]:
    said = {"cart": cart, "version": version, "order": new_id(), "customer": ADA, "lines": LINES}
    return "sliceline.carts.cart-checked-out.v1", said


@dataclass
class Desk:
    """Reminders, and how it is spoken to."""

    reminders: Fed

    async def hear(self, *events: tuple[str, Data]) -> None:
        await self.reminders.feed(*events)

    async def view(self, cart: str) -> dict[str, Any]:
        view: dict[str, Any] = (await self.reminders.client.get(f"/reminders/{cart}")).json()
        return view

    async def told(self, cart: str) -> list[dict[str, Any]]:
        return [said for _, said in await self.reminders.published(cart)]

    async def job(self, cart: str) -> datetime | None:
        """When the cart's one job is due, if there is one."""
        found = await self.reminders.database.fetch("SELECT due FROM jobs WHERE kind = $1 AND key = $2", REMIND, cart)
        return found[0]["due"] if found else None

    async def now(self) -> datetime:
        [(now,)] = await self.reminders.database.fetch("SELECT now()")
        moment: datetime = now
        return moment

    async def is_reminded(self, cart: str) -> bool:
        return bool((await self.view(cart))["status"] == "reminded")

    async def waits_until(self, cart: str, least: datetime) -> bool:
        due = await self.job(cart)
        return due is not None and due > least

    @asynccontextmanager
    async def reminding(self, after: float) -> AsyncIterator[None]:
        """With the jobs being done, and customers left alone for so many seconds."""
        settings = Settings(database_url="postgresql://unused", remind_after_seconds=after)
        async with running(Worker(REMIND, SERVICE.jobs[REMIND], Context(settings, self.reminders.database))):
            yield


@pytest.fixture
async def desk(new_database: NewDatabase) -> AsyncIterator[Desk]:
    async with fed(SERVICE, new_database) as reminders:
        yield Desk(reminders)


async def test_a_customer_is_reminded_once_of_a_cart_that_was_left(desk: Desk) -> None:
    cart, other = new_id(), new_id()
    await desk.hear(added(cart))
    async with desk.reminding(SOON):
        await eventually(lambda: desk.is_reminded(cart), 30)
        assert await desk.told(cart) == [{"cart": cart, "version": 1, "customer": ADA, "lines": LINES}]
        await desk.hear(added(cart), added(other))
        await eventually(lambda: desk.is_reminded(other), 30)
    assert len(await desk.told(cart)) == 1
    assert await desk.job(cart) is None


async def test_another_item_moves_the_reminder(desk: Desk) -> None:
    cart = new_id()
    await desk.hear(added(cart))
    async with desk.reminding(86400):
        await eventually(lambda: waits_for(desk, cart, timedelta(minutes=9)), 30)
        first = (await desk.view(cart))["due_at"]
        await desk.hear(added(cart))
        second = (await desk.view(cart))["due_at"]
        assert second > first
        await desk.reminders.database.fetch("UPDATE jobs SET due = now()")  # the first item's time has come
        await eventually(lambda: is_at(desk, cart, second), 30)
    assert await desk.told(cart) == []


async def waits_for(desk: Desk, cart: str, least: timedelta) -> bool:
    return await desk.waits_until(cart, await desk.now() + least)


async def is_at(desk: Desk, cart: str, moment: str) -> bool:
    return await desk.job(cart) == datetime.fromisoformat(moment)


async def test_a_restart_loses_no_reminder(desk: Desk) -> None:
    cart = new_id()
    await desk.hear(added(cart))
    async with desk.reminding(3):
        await eventually(lambda: waits_for(desk, cart, timedelta(seconds=1)), 30)
    assert await desk.told(cart) == []
    async with desk.reminding(3):
        await eventually(lambda: desk.is_reminded(cart), 30)
    assert len(await desk.told(cart)) == 1


@pytest.mark.parametrize("how", [checked_out, removed])
async def test_an_ordered_or_emptied_cart_is_not_reminded_of(desk: Desk, how: Any) -> None:
    cart, other = new_id(), new_id()
    await desk.hear(added(cart))
    assert await desk.job(cart) is not None
    await desk.hear(how(cart))
    assert await desk.job(cart) is None
    assert (await desk.view(cart))["status"] == "none"
    async with desk.reminding(SOON):
        await desk.hear(added(other))
        await eventually(lambda: desk.is_reminded(other), 30)
    assert await desk.told(cart) == []


async def test_a_cart_that_lost_an_item_is_reminded_of_with_what_is_left(desk: Desk) -> None:
    cart, left = new_id(), {"item": "margherita", "quantity": 1}
    await desk.hear(added(cart), removed(cart, left))
    async with desk.reminding(SOON):
        await eventually(lambda: desk.is_reminded(cart), 30)
    assert [said["lines"] for said in await desk.told(cart)] == [[left]]


async def test_the_next_version_of_a_cart_has_a_reminder_of_its_own(desk: Desk) -> None:
    cart = new_id()
    await desk.hear(added(cart))
    async with desk.reminding(SOON):
        await eventually(lambda: desk.is_reminded(cart), 30)
        await desk.hear(checked_out(cart), added(cart, 2))
        await eventually(lambda: desk.is_reminded(cart), 30)
    assert [said["version"] for said in await desk.told(cart)] == [1, 2]


async def test_nobody_is_reminded_before_anybody_says_whose_cart_it_is(desk: Desk) -> None:
    cart = new_id()
    await desk.hear(added(cart, customer=None))
    assert ((await desk.view(cart))["status"], await desk.job(cart)) == ("none", None)
    await desk.hear(added(cart))
    assert (await desk.view(cart))["status"] == "waiting"
    assert await desk.job(cart) is not None


async def test_what_is_read_long_after_it_was_said_waits_for_what_was_said_then(desk: Desk) -> None:
    """The samples' items are weeks old: their checkout may be in the next batch."""
    cart = new_id()
    await desk.hear(added(cart))
    async with desk.reminding(86400):
        await eventually(lambda: waits_for(desk, cart, timedelta(minutes=9)), 30)
        assert not await desk.waits_until(cart, await desk.now() + timedelta(minutes=11))
        await desk.hear(checked_out(cart))
    assert (await desk.told(cart), await desk.job(cart)) == ([], None)


async def test_a_cart_nobody_has_heard_of_is_not_found(desk: Desk) -> None:
    answer = await desk.reminders.client.get(f"/reminders/{new_id()}")
    assert (answer.status_code, answer.json()["title"]) == (404, "No such reminder")
