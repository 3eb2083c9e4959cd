"""Two replicas of reminders, killed at random moments: each customer gets one event and one mail for each cart left."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from uuid import uuid4

import pytest

from tests.faults.customers import PATIENCE, answered
from tests.system import Document, Shop
from tests.waiting import eventually

CARTS, KILLS = 200, 4
DUE = "sliceline.reminders.cart-reminder-due.v1"
TERMS = {"currency": "GBP", "fulfilment": "collection"}
# As if a day had passed since the last item, for each cart at a moment of its own.
A_DAY_LATER = """
UPDATE reminders
SET last_item_at = now() - interval '1 day' + random() * interval '8 s', heard_at = now() - interval '1 day'
WHERE cart = ANY($1)
"""
# As if leases ended at once, those of living processes as well: so two of them do the same jobs at the same time. What
# comes too early looks again later, which is tried here too.
HURRY = "UPDATE jobs SET due = now() WHERE kind = 'remind' AND due > now() AND key = ANY($1)"
HEARD = "SELECT count(*) FROM reminders WHERE cart = ANY($1) AND (jsonb_array_length(lines) > 0) = $2"
REMINDED = "SELECT count(*) FROM reminders WHERE cart = ANY($1) AND reminded_at IS NOT NULL"
LEFT = "SELECT count(*) FROM jobs WHERE kind = 'remind' AND key = ANY($1)"


@pytest.mark.long
@pytest.mark.beside("carts", "reminders")
async def test_each_cart_left_is_reminded_of_once_whoever_is_killed(shop: Shop) -> None:
    await shop.system.replica("reminders")
    killing = asyncio.create_task(_kill_at_random(shop))
    carts = [uuid4().hex for _ in range(CARTS)]
    ordered, left = carts[::10], [cart for number, cart in enumerate(carts) if number % 10]
    for first in range(0, CARTS, 20):
        await asyncio.gather(*(_fill(shop, cart) for cart in carts[first : first + 20]))
    await asyncio.gather(*(_ask(shop, f"/carts/{cart}/checkout", TERMS) for cart in ordered))
    await _until(shop, HEARD, len(left), left, True)
    await _until(shop, HEARD, len(ordered), ordered, False)

    await shop.fetch("reminders", A_DAY_LATER, carts)
    await _until(shop, REMINDED, len(left), left)
    await killing
    await _until(shop, LEFT, 0, carts)

    async def are_mailed() -> bool:
        return set(await _mails(shop, left)) == set(left)

    await eventually(are_mailed, PATIENCE, what="a mail for each cart that was left")
    await shop.journal.read()
    told = Counter(event.partitionkey for event in shop.journal.events(event_type=DUE))
    assert {cart: told[cart] for cart in carts} == {cart: int(cart in left) for cart in carts}
    assert await _mails(shop, carts) == Counter(left)


async def _fill(shop: Shop, cart: str) -> None:
    """Add two items: the second moves the reminder, wherever its reader has just been killed."""
    customer = {"id": cart, "name": "Ada", "email": f"{cart}@example.com"}
    for item in ("cola", "water"):
        await _ask(shop, f"/carts/{cart}/items", {"item": item, "customer": customer})


async def _ask(shop: Shop, path: str, body: Document) -> None:
    await answered(lambda: shop.http.post(shop.url("carts", path), json=body), 202)


async def _kill_at_random(shop: Shop) -> None:
    """Kill either of the two, again and again; the other one goes on."""
    replicas = [name for name in shop.system.processes if name.startswith("reminders")]
    for number in range(KILLS):
        await asyncio.sleep(random.uniform(0, 2))
        process = shop.system[replicas[number % 2]]
        await process.kill()
        await process.start()


async def _until(shop: Shop, query: str, count: int, carts: Collection[str], *more: bool) -> None:
    """Until so many rows are found; no job waits meanwhile, neither for its time nor for the end of a lease."""

    async def holds() -> bool:
        await shop.fetch("reminders", HURRY, list(carts))
        [(found,)] = await shop.fetch("reminders", query, list(carts), *more)
        return bool(found == count)

    await eventually(holds, PATIENCE, what=f"{count} carts of {query}", every=1)


async def _mails(shop: Shop, carts: Collection[str]) -> Counter[str]:
    """How many reminders came for which carts: each has a customer of its own."""
    mails = [mail for mail in await shop.mails() if mail["Subject"] == "Your cart is waiting"]
    mailed = (mail["To"][0]["Address"].partition("@")[0] for mail in mails)
    return Counter(cart for cart in mailed if cart in carts)
