"""Lists of orders on a real Postgres: what each filter leaves, which are late and in which order, and how many."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Select, select
from sqlalchemy.dialects import postgresql

from backbone.ids import first_id_of, new_id
from services.orders.expecting import limits
from services.orders.listing import store
from services.orders.listing.store import MOST, Filters
from services.orders.order import Status
from services.orders.service import SERVICE
from services.orders.tables import orders as table
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

LINES = json.dumps([{"item": "cola", "quantity": 1, "unit_price": {"amount": 300, "currency": "GBP"}, "baked": False}])
BAKED = LINES.replace("false", "true")
PLANT = """
INSERT INTO orders (id, customer_id, customer_name, customer_email, fulfilment, address, lines, currency, total, status,
                    facts, placed_at, stepped_at, delayed, version)
VALUES ($1, $2, 'Somebody', 's@example.com', $3, '1 Mill Lane', $4::text::jsonb, 'GBP', 300, $5, '{}', $6, $7, false, 1)
"""
MANY = """
INSERT INTO orders (id, customer_id, customer_name, customer_email, fulfilment, lines, currency, total, status,
                    facts, placed_at, stepped_at, delayed, version)
SELECT format('%s-%s-7000-8000-%s', left(made.hex, 8), right(made.hex, 4), lpad(to_hex(n), 12, '0')), 'ada', '', '',
       'delivery', '[]', 'GBP', 300, 'placed', '{}', made.at, made.at, false, 1
FROM generate_series(1, $1) AS n, LATERAL (
  SELECT at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS hex
  FROM (SELECT now() - make_interval(secs => n) AS at) AS moment
) AS made
"""


@pytest.fixture
async def orders(new_database: NewDatabase) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        yield service


async def planted(
    orders: Fed,
    *,
    ago: float = 0,
    status: str = "placed",
    stands: float = 0,
    customer: str = "ada",
    fulfilment: str = "delivery",
    lines: str = LINES,
) -> str:
    """An order that was placed so many seconds ago, and stands there for so many; returns its id."""
    now = orders.database.now()
    placed_at = now - timedelta(seconds=ago)
    order = first_id_of(placed_at) + new_id()[13:]
    stepped_at = now - timedelta(seconds=stands)
    await orders.database.fetch(PLANT, order, customer, fulfilment, lines, status, placed_at, stepped_at)
    return order


async def page(orders: Fed, **asked: Any) -> dict[str, Any]:
    answer = await orders.client.get("/orders", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ids(orders: Fed, **asked: Any) -> list[str]:
    return [each["id"] for each in (await page(orders, **asked))["items"]]


async def count(orders: Fed, **asked: Any) -> tuple[int, bool]:
    answer = await orders.client.get("/orders/count", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["count"], answer.json()["exact"]


async def test_orders_are_listed_by_when_they_were_placed_by_status_and_by_customer(orders: Fed) -> None:
    ada, ben = [await planted(orders, ago=each) for each in (300, 100)], await planted(orders, ago=200, customer="ben")
    done = await planted(orders, ago=50, status="completed")
    now = orders.database.now()
    at = {each: (now - timedelta(seconds=each)).isoformat() for each in (250, 75)}
    for asked, wanted in (
        ({}, [done, ada[1], ben, ada[0]]),
        ({"status": "placed"}, [ada[1], ben, ada[0]]),
        ({"customer": "ada"}, [done, ada[1], ada[0]]),
        ({"customer": "ada", "status": "completed"}, [done]),
        ({"since": at[250]}, [done, ada[1], ben]),
        ({"until": at[250]}, [ada[0]]),
        ({"since": at[250], "until": at[75], "customer": "ben"}, [ben]),
        ({"newer_than": ben}, [done, ada[1]]),
        ({"newer_than": ben, "status": "placed"}, [ada[1]]),
        ({"since": "9999-12-31T23:59:59Z"}, []),
        ({"until": "0001-01-01T00:00:00Z"}, []),
    ):
        assert await ids(orders, **asked) == wanted
        assert await count(orders, **asked) == (len(wanted), True)


async def test_a_moment_of_placing_is_the_databases_also_where_an_id_was_made_by_another_clock(orders: Fed) -> None:
    order = await planted(orders, ago=1800)
    early = (orders.database.now() - timedelta(seconds=900)).isoformat()
    await orders.database.fetch("UPDATE orders SET placed_at = now()")
    assert await ids(orders, since=early) == [order]
    assert await ids(orders, until=early) == []


async def test_those_that_are_stuck_are_listed_the_longest_first_and_counted(orders: Fed) -> None:
    usual = orders.context.settings.usual
    late = {
        "placed": usual[Status.CONFIRMED],
        "cancelling": usual[Status.CANCELLED],
        "preparing": usual[Status.BAKED],
        "baked": usual[Status.DISPATCHED],
        "ready": usual[Status.COMPLETED],
        "dispatched": usual[Status.COMPLETED],
    }
    stuck = [
        (
            await planted(orders, status=status, stands=longest.total_seconds() + 60 + 100 * number),
            100 * number + longest.total_seconds(),
        )
        for number, (status, longest) in enumerate(late.items())
    ]
    for status, longest in late.items():
        await planted(orders, status=status, stands=longest.total_seconds() - 5)
    for status in ("completed", "rejected", "cancelled", "backordered"):
        await planted(orders, status=status, stands=1_000_000)
    wanted = [order for order, _ in sorted(stuck, key=lambda each: -each[1])]
    assert await ids(orders, stuck=True) == wanted
    assert await count(orders, stuck=True) == (len(wanted), True)
    assert await ids(orders, stuck=True, status="placed") == [stuck[0][0]]
    assert await ids(orders, stuck=True, status="completed") == []
    assert await count(orders, stuck=True, status="completed") == (0, True)
    assert await ids(orders, stuck=True, customer="ben") == []


async def test_how_long_a_confirmed_order_may_stand_depends_on_what_comes_next(new_database: NewDatabase) -> None:
    settings = {"usually_preparing_seconds": 100, "usually_dispatched_seconds": 200, "usually_completed_seconds": 300}
    async with fed(SERVICE, new_database, **settings) as orders:
        kinds = [("delivery", BAKED), ("collection", BAKED), ("delivery", LINES), ("collection", LINES)]
        for stands, late in ((50, 0), (150, 2), (250, 3), (350, 4)):
            await orders.database.fetch("DELETE FROM orders")
            made = [
                await planted(orders, status="confirmed", stands=stands, fulfilment=fulfilment, lines=lines)
                for fulfilment, lines in kinds
            ]
            assert set(await ids(orders, stuck=True)) == set(made[:late])
            assert await count(orders, stuck=True) == (late, True)


async def test_what_is_stuck_is_late_by_what_is_expected_and_says_since_when_it_stands_there(orders: Fed) -> None:
    await planted(orders, stands=75)
    [found] = (await page(orders, stuck=True))["items"]
    since, expected = (datetime.fromisoformat(each) for each in (found["since"], found["expected"]["at"]))
    assert found["expected"]["step"] == "confirmed"
    assert expected - since == orders.context.settings.usual[Status.CONFIRMED]
    assert timedelta(seconds=75) <= orders.database.now() - since < timedelta(seconds=90)


@pytest.mark.parametrize("asked", [{}, {"stuck": True}])
async def test_pages_follow_each_other_without_a_gap(orders: Fed, asked: dict[str, Any]) -> None:
    made = [await planted(orders, ago=each, stands=100 + each // 2 * 2) for each in range(7)]
    seen: list[str] = []
    after = ""
    while True:
        found = await page(orders, limit=2, after=after, **asked)
        seen += [each["id"] for each in found["items"]]
        if found["next"] is None:
            break
        after = found["next"]
    assert sorted(seen) == sorted(made)
    assert seen == await ids(orders, **asked)


async def test_a_place_of_another_order_of_the_list_is_refused(orders: Fed) -> None:
    for each in range(3):
        await planted(orders, ago=each, stands=100)
    after = (await page(orders, limit=1))["next"]
    answer = await orders.client.get("/orders", params={"stuck": True, "after": after})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "after"


async def test_orders_are_counted_up_to_a_bound_and_it_is_told_where_there_are_more(orders: Fed) -> None:
    await orders.database.fetch(MANY, MOST + 500)
    assert await count(orders) == (MOST, False)
    assert await count(orders, stuck=True) == (MOST, False)
    newest = await ids(orders, limit=13)
    assert await count(orders, newer_than=newest[12]) == (12, True)
    assert await count(orders, newer_than=newest[0]) == (0, True)


async def test_each_list_is_a_walk_along_an_index(orders: Fed) -> None:
    """Or a million orders would be read for fifty of them."""
    await orders.database.fetch(MANY, MOST * 3)
    await orders.database.fetch("UPDATE orders SET status = 'completed' WHERE id < (SELECT max(id) FROM orders)")
    await orders.database.fetch("VACUUM ANALYZE orders")
    now, completed = orders.database.now(), Filters(status=Status.COMPLETED)
    usual = limits(orders.context.settings.usual)
    newest = [store._only(select(table), each).order_by(table.c.id.desc()).limit(51) for each in (Filters(), completed)]
    late = [query.limit(MOST) for query in store._late(select(table), now, Filters(), usual)]
    assert len(late) == 7
    for query in (*newest, *late):
        assert "Seq Scan" not in await plan(orders, query)


async def plan(orders: Fed, query: Select[Any]) -> str:
    written = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    async with orders.database.reading() as connection:
        return "\n".join((await connection.exec_driver_sql(f"EXPLAIN {written}")).scalars())
