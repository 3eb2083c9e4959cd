"""The shop as a customer, its staff and its suppliers meet it: HTTP, mail, ledger; and its processes and databases.

One per run, shared by all tests: isolate by fresh orders and customers, and give the SKU you count an exact stock.
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from asyncpg.pool import PoolConnectionProxy

from tests.journal import Journal
from tests.processes import System
from tests.waiting import eventually

WITHIN = 60.0
MAILS_AT_ONCE = 1000
ENDS = ("completed", "rejected", "cancelled")
ROOMS = {
    "prepared": ("kitchen", "tickets"),
    "baked": ("kitchen", "tickets"),
    "dispatched": ("delivery", "deliveries"),
    "delivered": ("delivery", "deliveries"),
    "collected": ("delivery", "deliveries"),
}
Document = dict[str, Any]


@dataclass
class Shop:
    """`http` belongs to the test; what is known of the topics and of events spoilt on purpose, to the whole run."""

    system: System
    http: httpx.AsyncClient
    journal: Journal = field(repr=False)
    # Keys of events that a test made unhandleable: no promise is checked for them.
    spoilt: set[str] = field(default_factory=set)
    _pools: dict[str, "asyncpg.Pool[Any]"] = field(default_factory=dict, repr=False)

    def url(self, service: str, path: str = "") -> str:
        return self.system.url(service) + path

    async def token(self) -> str:
        """The token that the tests ask with, for commands, which are told it in SLICELINE_TOKEN."""
        asked = (await self.http.get(self.url("orders", "/menu"))).request
        return asked.headers["Authorization"].removeprefix("Bearer ")

    # What customers do.

    async def place(self, lines: Mapping[str, int], *, key: str | None = None, **changes: Any) -> str:
        """Place an order, of somebody new unless `customer` is given as an id; returns its id.

        Who is told that many are under way comes again, as often as that takes.
        """
        body = self.body(lines, **changes)
        while (answer := await self.post_order(body, key)).status_code == 429:  # noqa: ASYNC110  as it was told to
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def body(self, lines: Mapping[str, int], *, customer: str | None = None, **changes: Any) -> Document:
        """The JSON of a good order; `changes` replaces its fields."""
        customer = customer or f"customer-{uuid4().hex[:12]}"
        return {
            "customer": {"id": customer, "name": "Ada", "email": f"{customer}@example.com"},
            "currency": "GBP",
            "fulfilment": "delivery",
            "address": "1 Mill Lane",
            "lines": [{"item": item, "quantity": quantity} for item, quantity in lines.items()],
            **changes,
        }

    async def post_order(self, body: Any, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.http.post(self.url("orders", "/orders"), json=body, headers=headers)

    async def cancel(self, order: str) -> httpx.Response:
        return await self.http.post(self.url("orders", f"/orders/{order}/cancel"))

    async def post_refund(self, order: str, amount: int | None = None, key: str | None = None) -> httpx.Response:
        """Ask for so much of an order's payment to be given back, or for all that is left."""
        part = {} if amount is None else {"amount": {"amount": amount, "currency": "GBP"}}
        headers = {"Idempotency-Key": key} if key else {}
        body = {"reason": "It came cold.", **part}
        return await self.http.post(self.url("orders", f"/orders/{order}/refunds"), json=body, headers=headers)

    async def refund(self, order: str, amount: int | None = None, within: float = WITHIN) -> Document:
        """Refund a part of an order, or all that is left, and return the order when that has ended."""
        answer = await self.post_refund(order, amount)
        assert answer.status_code == 202, answer.text
        refund = answer.json()["refunds"][-1]["id"]

        async def settled() -> Document | None:
            document = await self.order(order)
            known = {each["id"]: each["status"] for each in document["refunds"]}
            return document if known[refund] != "requested" else None

        return await eventually(settled, within, what=f"refund {refund} settled", every=0.05)

    async def order(self, order: str) -> Document:
        return dict(await self.get("orders", f"/orders/{order}"))

    async def wait_for_status(self, order: str, *statuses: str, within: float = WITHIN) -> Document:
        """The order's document as soon as it stands at one of the statuses."""

        async def found() -> Document | None:
            document = await self.order(order)
            if document["status"] in ENDS and document["status"] not in statuses:
                raise AssertionError(f"{document['status']} is an end, {statuses} was awaited: {document}")
            return document if document["status"] in statuses else None

        return await eventually(found, within, what=f"order {order} at {' or '.join(statuses)}", every=0.05)

    async def wait_for_statuses(self, orders: Collection[str], *statuses: str, within: float = WITHIN) -> Counter[str]:
        """How many stand at which status, as soon as all of them stand at one of these."""

        async def found() -> Counter[str] | None:
            counted = await self.statuses(orders)
            return counted if counted.total() == len(orders) and set(counted) <= set(statuses) else None

        return await eventually(found, within, what=f"{len(orders)} orders at {' or '.join(statuses)}", every=0.2)

    async def statuses(self, orders: Collection[str]) -> Counter[str]:
        query = "SELECT status, count(*) FROM orders WHERE id = ANY($1) GROUP BY status"
        return Counter({row["status"]: row["count"] for row in await self.fetch("orders", query, list(orders))})

    # What the staff does.

    async def push(self, order: str, button: str) -> httpx.Response:
        """Press a button once: prepared, baked, dispatched, delivered or collected."""
        service, path = ROOMS[button]
        return await self.http.post(self.url(service, f"/{path}/{order}/{button}"))

    async def press(self, order: str, *buttons: str, within: float = WITHIN) -> None:
        """Press buttons one after the other, each as soon as it can be pressed."""
        for button in buttons:

            async def pressed(button: str = button) -> bool:
                return (await self.push(order, button)).status_code == 200

            await eventually(pressed, within, what=f"the button {button} for order {order}", every=0.05)

    async def complete(self, order: str, within: float = WITHIN) -> Document:
        """Press every button that a confirmed order needs, and wait for its end."""
        document = await self.wait_for_status(order, "confirmed", within=within)
        if any(line["baked"] for line in document["lines"]):
            await self.press(order, "prepared", "baked")
        collected = document["fulfilment"] == "collection"
        await self.press(order, *(["collected"] if collected else ["dispatched", "delivered"]))
        return await self.wait_for_status(order, "completed", within=within)

    # Stock.

    async def stock(self, sku: str) -> Document:
        return dict(await self.get("inventory", f"/stock/{sku}"))

    async def set_stock(self, sku: str, available: int, channel: str = "count") -> None:
        """So many are available from now on; what is reserved stays reserved."""
        reserved = (await self.stock(sku))["reserved"]
        await self.adjust(sku, channel, set=available + reserved)

    async def adjust(self, sku: str, channel: str, **how: int) -> Document:
        """`change=-5` or `set=500`, by a channel other than orders."""
        body = {**how, "channel": channel, "reason": "a test"}
        answer = await self.http.post(self.url("inventory", f"/stock/{sku}/adjustments"), json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def limits(self, sku: str, **limits: int) -> None:
        """Set threshold, ceiling or both."""
        answer = await self.http.patch(self.url("inventory", f"/stock/{sku}"), json=limits)
        assert answer.status_code == 200, answer.text

    # The world outside.

    async def moods(self, **moods: Any) -> None:
        """Put the payment provider in a mood; without any it is in its best. Ends with the test."""
        answer = await self.http.put(self.url("provider", "/moods"), json=moods)
        assert answer.status_code == 200, answer.text

    async def limit_provider(self, rate: float) -> None:
        """Calls a second that the provider accepts from now on; 0: no limit. Ends with the test."""
        answer = await self.http.put(self.url("provider", "/limits"), json={"rate": rate})
        assert answer.status_code == 200, answer.text

    async def ledger(self, order: str | None = None) -> list[Document]:
        """The provider's entries, all or those of one reference."""
        entries: list[Document] = await self.get("provider", "/ledger", reference=order)
        return entries

    async def mails(self, recipient: str | None = None) -> list[Document]:
        """What the mail server received, the newest first, in Mailpit's shape."""
        found: dict[str, Document] = {}  # one that comes meanwhile moves others to the next page
        for start in itertools.count(step=MAILS_AT_ONCE):
            page = (await self.get("mail", "/api/v1/messages", start=start, limit=MAILS_AT_ONCE))["messages"]
            found |= {mail["ID"]: mail for mail in page}
            if len(page) < MAILS_AT_ONCE:
                break
        return [mail for mail in found.values() if recipient in (None, mail["To"][0]["Address"])]

    # Databases and processes.

    async def get(self, service: str, path: str, **params: Any) -> Any:
        """Read a document. The query is given as `params`: httpx drops one that is part of the path."""
        assert "?" not in path
        known = {name: value for name, value in params.items() if value is not None}
        answer = await self.http.get(self.url(service, path), params=known)
        assert answer.status_code == 200, f"GET {path} of {service}: {answer.status_code} {answer.text}"
        return answer.json()

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator["PoolConnectionProxy[Any]"]:
        """A connection to a service's own database, as the superuser."""
        if service not in self._pools:
            self._pools[service] = await asyncpg.create_pool(
                self.system.whole_database_url(service), min_size=0, max_size=4, init=_read_json
            )
        async with self._pools[service].acquire() as connection:
            yield connection

    async def close(self) -> None:
        """To be called before the test's event loop ends."""
        await self.journal.close()
        for pool in self._pools.values():
            await pool.close()

    async def fetch(self, service: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.database(service) as connection:
            return await connection.fetch(query, *arguments)

    @asynccontextmanager
    async def without(self, service: str) -> AsyncIterator[None]:
        """The service is stopped for as long as the block lasts."""
        await self.system[service].stop()
        yield
        await self.system[service].start()

    @asynccontextmanager
    async def told(self, service: str, **env: str) -> AsyncIterator[None]:
        """The service with other settings (SLICELINE_ is put before), for as long as the block lasts."""
        process = self.system[service]
        await process.stop()
        await process.start({f"SLICELINE_{name.upper()}": value for name, value in env.items()})
        try:
            yield
        finally:
            await process.stop()
            await process.start()


async def _read_json(connection: "asyncpg.Connection[Any]") -> None:
    await connection.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
