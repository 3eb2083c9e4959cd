"""Measures what pages ask for when somebody looks at the shop, and the pages themselves.

Orders holds a million of them, the archive hundreds of thousands of events, and one order has five hundred of its own.
Everything that `up` runs runs beside it, with nothing to do.
"""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

import msgspec

from backbone.events.contracts import schemas_of
from backbone.ids import new_id
from bench import programs
from bench.result import Results, Row, better
from bench.stage import Stage
from deployment.catalogue import sample_of
from local.program import Program
from services import CATALOGUE

GOAL = 100.0
"""Milliseconds at the median, of an answer."""
FIRST_PAGE, LARGE_PAGE = 200.0, 300.0
"""The same of a page of the console: of its first, and of those that show much."""
EVENTS_OF_ONE = 500
LAST = ("balance", "funnel", "backlogs", "throughput")
WARM = 5
# Of each hundred 88 are completed, eight have ended otherwise, and four are open, all of them late but the newest.
ORDERS = """
INSERT INTO orders (id, customer_id, customer_name, customer_email, fulfilment, address, lines, currency, total, status,
                    facts, placed_at, stepped_at, delayed, version, correlationid)
SELECT uuidv7(made.at - now())::text, 'customer-' || n % 10000, 'Ada Lovelace', 'ada@example.com', 'delivery',
       '1 Mill Lane', '[{{"item": "margherita", "quantity": 1, "unit_price": {{"amount": 1200, "currency": "GBP"}},
       "baked": true}}]', 'GBP', 1200,
       (ARRAY['placed', 'confirmed', 'baked', 'dispatched', 'cancelled', 'rejected', 'completed'])
       [least(n % 100 / (CASE WHEN n % 100 < 4 THEN 1 ELSE 4 END) + 1, 7)],
       '{{}}', made.at, made.at, false, 1, n::text
FROM generate_series(1, {count}) AS n, LATERAL (SELECT now() - make_interval(secs => n * 2.5) AS at) AS made
"""
ARCHIVE = """
INSERT INTO events (id, source, day, type, subject, time, topic, partition, "offset", recorded_at, key, record_key,
                    headers, value, correlationid, causationid, occurrenceid, sequence, archived_at)
SELECT uuidv7(made.at - now())::text, '/sliceline/orders', (made.at AT TIME ZONE 'UTC')::date, made.type,
       made.key, made.at, 'orders.events', n % 6, n, made.at, made.key, made.key::bytea, '[]',
       convert_to('{{"order": "' || made.key || '", "fulfilment":"delivery"}}', 'UTF8'), made.key, NULL, n::text,
       1 + n % 3, made.at
FROM generate_series(1, {count}) AS n, LATERAL (
  SELECT 'order-' || n / 3 AS key, now() - make_interval(secs => n * 86000.0 / {count}) AS at,
         'sliceline.orders.order-' || (ARRAY['completed', 'confirmed', 'placed'])[1 + n % 3] || '.v1' AS type
) AS made
"""
ONE = """
INSERT INTO events (id, source, day, type, subject, time, topic, partition, "offset", recorded_at, key, record_key,
                    headers, value, correlationid, causationid, occurrenceid, sequence, archived_at)
SELECT said->>'id', '/sliceline/' || (said->>'service'), (at AT TIME ZONE 'UTC')::date, said->>'type', '{order}', at,
       (said->>'service') || '.events', 0, 1000000 + n, at, '{order}', '{order}'::bytea, '[]',
       convert_to((said->'data')::text, 'UTF8'), '{story}', said->>'cause', said->>'id', n, at
FROM jsonb_array_elements($events${events}$events$::jsonb) WITH ORDINALITY AS told(said, n),
     LATERAL (SELECT now() - make_interval(secs => {count} - n) AS at) AS made
"""


@dataclass(frozen=True)
class Call:
    """Names a call, the service it goes to, and its path."""

    words: str
    service: str
    path: str
    goal: float = GOAL


def run(stage: Stage) -> Results:
    results = Results()
    orders, archived = stage.scale.of((1_000_000, 500_000), (200_000, 50_000))
    with programs.whole_shop(stage) as house:
        one = _plant(stage, orders, archived)
        stage.settle()
        calls = _calls(stage, one)
        times = {each.words: _measured(stage, house, each) for each in calls}
    for call in calls:
        found = times[call.words]
        middle, slow = _at(found, 0.5), _at(found, 0.99)
        for figure, value, goal in (("p50", middle, 1.0), ("p99", slow, None)):
            ratio = better(value, call.goal, less=True)
            results.add(Row("reading", f"{call.words}, {figure}", value, "the goal", call.goal, "ms", ratio, goal))
    results.note(f"{orders:,} orders, {archived:,} events, {EVENTS_OF_ONE} of one order.")
    results.samples["reading"] = times
    return results


def _plant(stage: Stage, orders: int, archived: int) -> str:
    """Write what is looked at straight into the tables; return the id of the order with many events."""
    stage.tell(f"planting {orders:,} orders")
    stage.sql(stage.database("orders"), ORDERS.format(count=orders), "VACUUM ANALYZE orders", "SELECT 1")
    stage.tell(f"planting {archived:,} events")
    one = new_id()
    own = ONE.format(order=one, story=new_id(), count=EVENTS_OF_ONE, events=_events_of(one))
    stage.sql(stage.database("ledger"), ARCHIVE.format(count=archived), own, "VACUUM ANALYZE events", "SELECT 1")
    return one


def _events_of(order: str) -> str:
    """Write the events of an order as JSON: all kinds that tell of orders in turn, each led to by the one before."""
    kinds = [(name, each) for name in CATALOGUE for each in schemas_of(name) if "order" in sample_of(each)]
    told, cause = [], None
    for number in range(EVENTS_OF_ONE):
        service, event_type = kinds[number % len(kinds)]
        event = new_id()
        data = {**sample_of(event_type), "order": order}
        told.append({"id": event, "service": service, "type": event_type, "data": data, "cause": cause})
        cause = event
    return msgspec.json.encode(told).decode()


def _calls(stage: Stage, one: str) -> list[Call]:
    newest = stage.sql(stage.database("orders"), "SELECT id FROM orders ORDER BY id DESC OFFSET 12 LIMIT 1")
    hour: datetime = stage.sql(stage.database("orders"), "SELECT now()") - timedelta(days=1)
    of_orders: Mapping[str, Mapping[str, object]] = {
        "newest": {},
        "of a status": {"status": "cancelled"},
        "of a customer": {"customer": "customer-77"},
        "of an hour": {"since": hour.isoformat(), "until": (hour + timedelta(hours=1)).isoformat()},
        "stuck": {"stuck": "true"},
        "new since": {"newer_than": newest},
    }
    listed = [
        Call(f"orders {words}{', counted' if counted else ''}", "orders", f"/orders{counted}?{urlencode(asked)}")
        for words, asked in of_orders.items()
        for counted in ("", "/count")
    ]
    asked_of_events: Mapping[str, Mapping[str, object]] = {
        "newest": {},
        "of a type": {"type": "sliceline.orders.order-confirmed.v1"},
        "of a service": {"service": "payments"},
        "of an hour": {"since": hour.isoformat(), "until": (hour + timedelta(hours=1)).isoformat()},
        "of an order": {"key": one},
    }
    archived = [
        Call(f"events {words}", "ledger", f"/events?{urlencode({'newest_first': 'true', **asked})}")
        for words, asked in asked_of_events.items()
    ]
    lasting = [Call(f"last {name}", "ledger", f"/{name}?last=true") for name in LAST]
    return [
        *listed,
        *archived,
        *lasting,
        Call("changes", "ledger", "/changes"),
        Call("page: is anything lost", "console", "/operations", FIRST_PAGE),
        Call("page: menu", "console", "/shop", FIRST_PAGE),
        Call("page: orders", "console", "/orders", LARGE_PAGE),
        Call("page: orders of a status", "console", "/orders?status=cancelled", LARGE_PAGE),
        Call(f"page: journey of {EVENTS_OF_ONE} events", "console", f"/orders/{one}", LARGE_PAGE),
        Call(f"journey of {EVENTS_OF_ONE} events", "ledger", f"/orders/{one}/journey"),
    ]


def _measured(stage: Stage, house: Mapping[str, Program], call: Call) -> list[float]:
    """Ask again and again, one after the other; return the milliseconds of each, in order of size."""
    stage.tell(call.words)
    connection = http.client.HTTPConnection("127.0.0.1", house[call.service].port, timeout=30)
    rounds = stage.scale.of(200, 50)
    try:
        return sorted([_asked(connection, call) for _ in range(WARM + rounds)][WARM:])
    finally:
        connection.close()


def _asked(connection: http.client.HTTPConnection, call: Call) -> float:
    began = time.perf_counter()
    connection.request("GET", call.path)
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - began) * 1000
    if answer.status != 200:
        raise RuntimeError(f"{call.path} is answered {answer.status}: {body[:500]!r}")
    return took


def _at(found: list[float], part: float) -> float:
    return found[min(len(found) - 1, int(part * len(found)))]
