"""Customers who do not give up: whoever gets no answer asks again under the same Idempotency-Key."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from tests.invariants import assert_sound
from tests.system import ENDS, Shop

# For the busiest machine: every wait ends as soon as its condition holds.
PATIENCE = 240.0
BASKETS = ({"margherita": 1}, {"water": 2}, {"funghi": 1, "cola": 1}, {"pepperoni": 2})
# Orders of which something is not sealed, or with a key that is not there.
KEYLESS = """
    SELECT id, sealed FROM orders, unnest(ARRAY[customer_name, customer_email, address]) AS sealed
    WHERE id = ANY($1) AND NOT EXISTS (
      SELECT FROM data_keys WHERE name = split_part(sealed, ':', 3) AND wrapped IS NOT NULL
    )
"""
# What a service may say that cannot serve just now; anything else is a wrong answer.
COME_BACK = (429, 503)


@dataclass
class Customers:
    """A crowd that orders; every third order is cancelled again, wherever it stands by then."""

    shop: Shop
    names: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    async def order(self, count: int) -> None:
        """Place so many orders at once, and return when all are accepted."""
        await asyncio.gather(*(self._order(number) for number in range(count)))

    def ordering(self, count: int) -> "asyncio.Task[None]":
        """The same beside whatever else happens."""
        return asyncio.create_task(self.order(count))

    async def are_served(self, *, mails_may_repeat: bool = False) -> None:
        """Every order that was accepted has its end, there are no others, and all promises are kept."""
        ends = await self.shop.wait_for_statuses(self.accepted, *ENDS, within=PATIENCE)
        kept = await self.shop.statuses(self.kept)
        assert kept == Counter(completed=len(self.kept)), f"not cancelled, and yet {kept} (of all: {ends})"
        assert sorted(await self._orders_known()) == sorted(self.accepted)
        await self._can_be_read()
        await assert_sound(self.shop, within=PATIENCE, mails_may_repeat=mails_may_repeat)
        if mails_may_repeat:
            await self._forget_mails()

    async def _order(self, number: int) -> None:
        name, basket = f"customer-{uuid4().hex[:12]}", BASKETS[number % len(BASKETS)]
        self.names.append(name)
        order = await place_surely(self.shop, basket, name)
        self.accepted.append(order)
        if number % 3 == 2:
            await answered(lambda: self.shop.cancel(order), 202, 409)
        else:
            self.kept.append(order)

    async def _can_be_read(self) -> None:
        """What every order tells of its customer is sealed with a key that is there, and is shown as it was told."""
        assert await self.shop.fetch("orders", KEYLESS, self.accepted) == []
        shown = await asyncio.gather(*map(self.shop.order, self.accepted))
        told = self.shop.body({})
        assert {(each["customer"]["name"], each["address"]) for each in shown} == {
            (told["customer"]["name"], told["address"])
        }

    async def _forget_mails(self) -> None:
        """The mail server begins anew, so that other tests do not meet the mails that came twice here."""
        await self.shop.system["mail"].stop()
        await self.shop.system["mail"].start()

    async def _orders_known(self) -> list[str]:
        rows = await self.shop.fetch("orders", "SELECT id FROM orders WHERE customer_id = ANY($1)", self.names)
        return [row["id"] for row in rows]


async def place_surely(shop: Shop, basket: dict[str, int], customer: str | None = None) -> str:
    """Place one order, however often it takes; returns its id."""
    body, key = shop.body(basket, customer=customer), uuid4().hex
    return str((await answered(lambda: shop.post_order(body, key), 202)).json()["id"])


async def answered(ask: Callable[[], Awaitable[httpx.Response]], *statuses: int) -> httpx.Response:
    """Ask until there is an answer with one of these statuses; only silence and "come back later" are excused."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                response = await ask()
            except httpx.TransportError:
                pass
            else:
                if response.status_code in statuses:
                    return response
                assert response.status_code in COME_BACK, f"{response.status_code} {response.text}"
            await asyncio.sleep(0.1)


async def kill(shop: Shop, *services: str) -> None:
    """kill -9; and the minute that their jobs are leased for is over."""
    await asyncio.gather(*(shop.system[service].kill() for service in services))
    await end_leases(shop, services)


async def end_leases(shop: Shop, services: Collection[str]) -> None:
    """Let time pass for leases only: whoever held one is taken for dead."""
    for service in services:
        await shop.fetch(service, "UPDATE jobs SET due = now() WHERE lease IS NOT NULL")
