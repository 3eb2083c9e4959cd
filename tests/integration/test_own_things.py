"""What is a customer's own is nobody else's, over every route for one's own things and every pair of customers.

Which routes these are is declared; one that is new fails here until it is said how to make such a thing.
"""

import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import Response
from sqlalchemy import text

from backbone.http import Answer, Command, Db
from backbone.http.context import Ctx
from backbone.http.permissions import may
from backbone.identity.caller import Caller
from backbone.ids import new_id
from backbone.service import Service
from backbone.storage.database import Tx
from deployment import grants
from deployment.catalogue import sample_of
from deployment.permissions import routes_of
from tests.all_services import SERVICES
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed
from tests.issuing import Issuer, bearing, issuing

OWN = {
    (name, method, path): said.scopes[1]
    for name, service in SERVICES.items()
    for (path, method), said in routes_of(service).items()
    if said.own
}
NAMED = sorted(each for each in OWN if "{" in each[2])
"""Routes of one thing, named in the path."""
UNNAMED = sorted(each for each in OWN if "{" not in each[2])
CUSTOMERS = ("ada", "Ada", "ada%", "ad_", "ada/../ben", "ada' OR 'a'='a")
"""Some who are told apart by nothing but every single character, or who would be others where names were code."""
TERMS = {"currency": "GBP", "fulfilment": "delivery", "address": "1 Mill Lane"}
ITEM = "margherita"
COMPLETED = "sliceline.orders.order-completed.v1"
STORY = new_id()
"""The same for all, so that nothing else differs."""
Body = dict[str, Any]


def person(name: str) -> Body:
    return {"id": name, "name": "Somebody", "email": "somebody@example.com"}


def order(name: str) -> Body:
    return {"customer": person(name), **TERMS, "lines": [{"item": ITEM, "quantity": 1}]}


def review(name: str) -> Body:
    return {"order": new_id(), "customer": person(name), "stars": 2, "text": "Cold."}


BODIES: Mapping[tuple[str, str], Callable[[str], Body | None]] = {
    ("POST", "/orders"): order,
    ("POST", "/orders/{order}/cancel"): lambda _: None,
    ("POST", "/carts/{cart}/items"): lambda name: {"item": ITEM, "customer": person(name)},
    ("PUT", "/carts/{cart}/items/{item}"): lambda _: {"quantity": 3},
    ("DELETE", "/carts/{cart}/items/{item}"): lambda _: None,
    ("POST", "/carts/{cart}/checkout"): lambda _: TERMS,
    ("POST", "/reviews"): review,
}
"""What somebody sends in this name who writes."""


def listing_alone(listed: Body, order: str) -> None:
    assert [each["id"] for each in listed["items"]] == [order]
    assert listed["next"] is None


def counting_alone(counted: Body, _: str) -> None:
    assert counted == {"count": 1, "exact": True}


LISTS: Mapping[str, Callable[[Body, str], None]] = {"/orders": listing_alone, "/orders/count": counting_alone}
"""How lists of a customer's own, who has one order, are looked at."""
CHOSEN = ("POST", "/carts/{cart}/items")
"""Where whoever asks chooses the id, and one that nobody has is a new cart's. Many of them are written together."""
ROWS = {
    ("orders", "orders"): ("order", "id"),
    ("orders", "timeline"): ("order", "order_id"),
    ("orders", "refunds"): ("order", "order_id"),
    ("carts", "carts"): ("cart", "id"),
    ("reviews", "reviews"): ("review", "id"),
    ("loyalty", "accounts"): ("customer", "customer_id"),
    ("loyalty", "entries"): ("customer", "customer_id"),
}
"""Of which thing a row is in tables of customers' own rows, and what it has its id in."""
REFUND = """
INSERT INTO refunds (order_id, id, amount, currency, reason, by, status, requested_at)
SELECT id, id, 1, 'GBP', 'Cold.', 'olga', 'requested', now() FROM orders
"""
LOOK = 'SELECT to_jsonb(t) AS row FROM "{}" AS t'
CHANGE = 'UPDATE "{}" AS t SET version = version + 1 RETURNING to_jsonb(t) AS row'


class Shop:
    """The services that have customers' own things, each on a database of its own, and what is whose."""

    def __init__(self, services: Mapping[str, Fed], issuer: Issuer) -> None:
        self.services = services
        self._issuer = issuer
        self.things: dict[tuple[str, str], str] = {}
        """Ids, by kind and owner."""

    async def ask(self, name: str, service: str, method: str, path: str, body: Body | None = None) -> httpx.Response:
        scopes = sorted(set(OWN.values()))
        headers = {**bearing(self._issuer.token(name, *scopes)), "X-Correlation-Id": STORY}
        return await self.services[service].client.request(method, path, json=body, headers=headers)

    async def make_all(self, name: str) -> None:
        """Give a customer one of each."""
        placed = await self.ask(name, "orders", "POST", "/orders", order(name))
        cart = f"cart-{new_id()}"
        filled = await self.ask(name, "carts", "POST", f"/carts/{cart}/items", BODIES[CHOSEN](name))
        said = await self.ask(name, "reviews", "POST", "/reviews", review(name))
        await self.services["loyalty"].feed(
            (COMPLETED, {**sample_of(COMPLETED), "order": new_id(), "customer_id": name})
        )
        assert [each.status_code for each in (placed, filled, said)] == [202, 202, 202]
        self.things |= {
            ("order", name): placed.json()["id"],
            ("cart", name): cart,
            ("review", name): said.json()["id"],
            ("customer", name): name,
        }

    async def rows(self) -> dict[str, list[str]]:
        """All that stands in the tables, but for refusals, which are for staff to see."""
        return {
            f"{name}.{table}": await _rows(service, table)
            for name, service in self.services.items()
            for table in await _tables(service)
            if table != "audit_waiting"
        }


def with_careless(service: Service[Any]) -> Service[Any]:
    """The service with routes whose statements have no condition, such as might be forgotten in its own ones."""
    router = copy(service.router)
    router.routes = [*router.routes]

    @router.get("/careless/{table}")
    @may("orders.read", own=True)
    async def look(table: str, db: Db, context: Ctx) -> dict[str, list[Any]]:
        async with db.reading() as connection:
            listed = (await connection.execute(text(LOOK.format(table)))).scalars().all()
        found = await context.database.fetch(LOOK.format(table))
        return {"listed": list(listed), "found": [row["row"] for row in found]}

    @router.post("/careless/{table}")
    @may("orders.cancel", own=True)
    async def change(table: str, said: str, command: Command) -> Response:
        async def effect(tx: Tx) -> Answer:
            return Answer([row["row"] for row in await tx.raw.fetch(said.format(table))])

        return await command.run(effect)

    return replace(service, router=router)


async def _tables(service: Fed) -> list[str]:
    async with service.database.reading() as connection:
        found = await connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        return sorted(found.scalars())


async def _rows(service: Fed, table: str) -> list[str]:
    async with service.database.reading() as connection:
        return sorted((await connection.execute(text(f'SELECT t::text FROM "{table}" AS t'))).scalars())


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
async def shop(new_database: NewDatabase, issuer: Issuer) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        services = {
            name: await stack.enter_async_context(fed(with_careless(SERVICES[name]), new_database, issuer=issuer.url))
            for name in sorted({name for name, _, _ in OWN})
        }
        shop = Shop(services, issuer)
        for name in CUSTOMERS:
            await shop.make_all(name)
        yield shop


def filled(path: str, thing: str) -> str:
    """A route's path with this thing; what it has beside that is an item."""
    return re.sub(r"\{\w+(:path)?\}", ITEM, re.sub(r"\{\w+(:path)?\}", quote(thing, safe=""), path, count=1))


def kind_of(path: str) -> str:
    return str(re.findall(r"\{(\w+)", path)[0])


async def test_what_is_anothers_is_answered_as_what_is_not_there_and_nothing_of_it_changes(shop: Shop) -> None:
    before = await shop.rows()
    unused = {"customer": "nobody-at-all", "order": new_id(), "cart": f"cart-{new_id()}", "review": new_id()}
    wrong = []
    for owner, other in itertools.permutations(CUSTOMERS, 2):
        for service, method, path in NAMED:
            body = BODIES[method, path](other) if method != "GET" else None
            thing, nothing = shop.things[kind_of(path), owner], unused[kind_of(path)]
            for verb in ("GET", "HEAD") if method == "GET" else (method,):
                told = await shop.ask(other, service, verb, filled(path, thing), body)
                absent = (
                    await shop.ask(other, service, "GET", filled(path, nothing).removesuffix("/items"))
                    if (method, path) == CHOSEN
                    else await shop.ask(other, service, verb, filled(path, nothing), body)
                )
                if told.status_code != 404 or said(told, thing, path) != said(absent, nothing, path):
                    wrong.append((owner, other, verb, path, said(told, thing, path), said(absent, nothing, path)))
    assert not wrong, wrong[0]
    assert await shop.rows() == before


def said(answer: httpx.Response, thing: str, path: str) -> tuple[int, dict[str, str], str]:
    """An answer, whatever the id in it: status, headers and body."""
    place = filled(path, thing).removesuffix("/items" if ("POST", path) == CHOSEN else "")
    text = answer.text.replace(filled(path, thing), "PATH").replace(place, "PATH").replace(thing, "THING")
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return answer.status_code, headers, text


async def test_nobody_does_anything_in_anothers_name_or_is_listed_what_is_anothers(shop: Shop) -> None:
    before = await shop.rows()
    for owner, other in itertools.permutations(CUSTOMERS, 2):
        for service, method, path in UNNAMED:
            if method == "GET":
                told = await shop.ask(other, service, "GET", f"{path}?customer={quote(owner, safe='')}")
                absent = await shop.ask(other, service, "GET", f"{path}?customer=nobody-at-all")
                LISTS[path]((await shop.ask(other, service, "GET", path)).json(), shop.things["order", other])
            else:
                told = await shop.ask(other, service, method, path, BODIES[method, path](owner))
                absent = await shop.ask(other, service, method, path, BODIES[method, path]("nobody-at-all"))
            assert (told.status_code, told.text) == (absent.status_code, absent.text) == (403, absent.text)
        cart = filled(CHOSEN[1], shop.things["cart", other])
        assert (await shop.ask(other, "carts", *CHOSEN[:1], cart, BODIES[CHOSEN](owner))).status_code == 403
    assert await shop.rows() == before


async def test_the_same_requests_are_answered_to_whom_it_is(shop: Shop) -> None:
    """Or all that is refused above might be refused to everybody."""
    last = {*BODIES} - {CHOSEN}
    asked = [each for each in NAMED if not each[2].endswith("/stream")]  # tests/integration/test_people.py has that
    in_order = sorted(asked, key=lambda each: each[1:] in last)
    for name, (service, method, path) in itertools.product(CUSTOMERS, in_order):
        body = BODIES[method, path](name) if method != "GET" else None
        told = await shop.ask(name, service, method, filled(path, shop.things[kind_of(path), name]), body)
        assert told.status_code in ((200,) if method == "GET" else (202, 409)), told.text


def own_rows(service: str) -> Iterator[str]:
    """The tables of a service in which there are customers' own rows."""
    assert {*grants.policies(service)} == {table for name, table in ROWS if name == service}
    yield from grants.policies(service)


def things(service: str, table: str, rows: list[dict[str, Any]]) -> set[str]:
    """Of which things these rows are."""
    return {row[ROWS[service, table][1]] for row in rows}


def test_every_service_with_routes_for_ones_own_things_says_whose_its_rows_are() -> None:
    assert {name for name, _, _ in OWN} == {name for name in SERVICES if grants.policies(name)}


async def test_a_statement_without_a_condition_meets_the_rows_of_whoever_asks_alone(shop: Shop) -> None:
    await shop.services["orders"].database.fetch(REFUND)
    for name, service in itertools.product(CUSTOMERS, shop.services):
        for table in own_rows(service):
            own = {shop.things[ROWS[service, table][0], name]}
            seen = (await shop.ask(name, service, "GET", f"/careless/{table}")).json()
            assert things(service, table, seen["listed"]) == things(service, table, seen["found"]) == own
            met = await shop.ask(name, service, "POST", f"/careless/{table}?said={quote(LOOK)}")
            assert things(service, table, met.json()) == own
    for service, table in (("orders", "orders"), ("carts", "carts")):
        for name in CUSTOMERS:
            changed = await shop.ask(name, service, "POST", f"/careless/{table}?said={quote(CHANGE)}")
            assert things(service, table, changed.json()) == {shop.things[ROWS[service, table][0], name]}


async def test_where_no_route_looks_whose_a_thing_is_what_is_anothers_is_still_not_there(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Caller, "may_touch", lambda *_: True)
    before = await shop.rows()
    unused = {"customer": "nobody-at-all", "order": new_id(), "cart": f"cart-{new_id()}", "review": new_id()}
    for owner, other in itertools.permutations(CUSTOMERS[:3], 2):
        for service, method, path in sorted({*NAMED} - {("carts", *CHOSEN)}):
            body = BODIES[method, path](other) if method != "GET" else None
            thing, nothing = shop.things[kind_of(path), owner], unused[kind_of(path)]
            told = await shop.ask(other, service, method, filled(path, thing), body)
            absent = await shop.ask(other, service, method, filled(path, nothing), body)
            assert said(told, thing, path) == said(absent, nothing, path)
            assert told.status_code == (200 if kind_of(path) == "customer" else 404)
        listed = await shop.ask(other, "orders", "GET", f"/orders?customer={quote(owner, safe='')}")
        assert listed.json()["items"] == []
    assert await shop.rows() == before
