"""All that the services, the provider and the mail server have written down, and when there is no more to come.

A service that is absent is left out: nobody waits for it, and nothing is asked of what it left behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from asyncpg.pool import PoolConnectionProxy

from backbone.consuming.handlers import topics_of
from backbone.events.envelope import Envelope
from tests.system import Document, Shop
from tests.waiting import eventually

Row = Mapping[str, Any]

WORK_LEFT = """
SELECT kind, key, error FROM jobs
WHERE parked_at IS NULL
  AND (kind NOT IN ('balance', 'delay-watch', 'partition', 'prune', 'releases', 'remind') OR due < now())
ORDER BY id LIMIT 5
"""
QUERIES = {
    "orders": "SELECT id, customer_id, status, facts, total FROM orders",
    "reservations": "SELECT order_id AS id, status, lines::json FROM reservations",
    "backorders": "SELECT order_id AS id FROM backorders",
    "stock": "SELECT * FROM stock",
    "asked": "SELECT id, order_id, status, amount FROM refunds",
    "payments": "SELECT order_id AS id, status, amount, given_back FROM payments",
    "refunds": "SELECT id, order_id, status, amount FROM refunds",
    "tickets": "SELECT order_id AS id, status FROM tickets",
    "deliveries": "SELECT order_id AS id, status FROM deliveries",
    "points": "SELECT order_id AS id, case_id, customer_id, points FROM entries",
    "accounts": "SELECT customer_id AS id, points FROM accounts",
    "notifications": "SELECT id, kind, about, status, message_id, sent_at FROM notifications",
}
OWNERS = {
    "orders": "orders",
    "reservations": "inventory",
    "backorders": "inventory",
    "stock": "inventory",
    "asked": "orders",
    "payments": "payments",
    "refunds": "payments",
    "tickets": "kitchen",
    "deliveries": "delivery",
    "points": "loyalty",
    "accounts": "loyalty",
    "notifications": "notifications",
}


@dataclass
class Books:
    """`tables`: rows of the services; `sequences`: the last sequence per service and key; `topics`: the events of each
    partition with its topic's name, as they came; `acts`: the log of each service."""

    tables: dict[str, list[Row]]
    sequences: dict[str, dict[str, int]]
    parked_jobs: list[str]
    parked_events: list[tuple[str, str, str]]
    ledger: list[Document]
    mails: list[Document]
    mails_since: datetime
    topics: list[tuple[str, list[Envelope]]]
    acts: dict[str, list[Row]]

    def by_id(self, table: str) -> dict[str, Row]:
        return {row["id"]: row for row in self.tables[table]}


async def come_to_rest(shop: Shop, within: float = 90.0) -> None:
    """Wait until nothing is due, nothing is in an outbox and every event is read."""
    left: list[str] = []

    async def resting() -> bool:
        left[:] = await what_is_left(shop)
        return not left

    try:
        await eventually(resting, within, what="everything has come to rest", every=0.2)
    except AssertionError as late:
        raise AssertionError(f"{late}; left: {left}") from None


async def what_is_left(shop: Shop) -> list[str]:
    """In the order of the flow, backwards: what one look misses is found by a later one."""
    ends = await shop.journal.ends()
    left = [line for service in shop.system.services for line in await unread(shop, service, ends)]
    left += [line for service in shop.system.services for line in await _undone(shop, service)]
    if not left and await shop.journal.ends() != ends:
        left.append("new events")
    return left


async def unread(shop: Shop, service: str, ends: Mapping[tuple[str, int], int]) -> list[str]:
    """What a service's topics have that it has not passed."""
    handlers = import_module(f"services.{service}.service").SERVICE.handlers
    topics = topics_of(handlers)
    rows = await shop.fetch(service, "SELECT topic, partition, next_offset FROM consumer_offsets")
    read = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    behind = {place: end - read.get(place, 0) for place, end in ends.items() if place[0] in topics}
    return [f"{service} lacks {lag} of {place}" for place, lag in behind.items() if lag]


async def _undone(shop: Shop, service: str) -> list[str]:
    """Jobs before the outbox: what a job's end publishes is then in one of both."""
    async with shop.database(service) as connection:
        jobs = await connection.fetch(WORK_LEFT)
        acts = await connection.fetchval("SELECT count(*) FROM audit_waiting")
        waiting = await connection.fetchval("SELECT count(*) FROM outbox")
    left = [f"{service} has the job {job['kind']} {job['key']} ({job['error']})" for job in jobs]
    left += [f"{service} has {acts} acts to chain"] if acts else []
    return left + ([f"{service} has {waiting} events to publish"] if waiting else [])


async def books_at_rest(shop: Shop, within: float = 90.0) -> Books:
    """Read everything as it stands once nothing is left to do.

    What a process remembers, as that somebody was refused, it writes down a moment later: in the middle of reading, the
    books would have half of it, and are read again.
    """
    read: list[Books] = []

    async def whole() -> bool:
        await come_to_rest(shop, within)
        ends = await shop.journal.ends()
        read[:] = [await read_books(shop)]
        return not await what_is_left(shop) and await shop.journal.ends() == ends

    await eventually(whole, 2 * within, what="books that are read while nothing happens")
    return read[0]


async def read_books(shop: Shop) -> Books:
    """Everything as it stands now; meant to be read at rest."""
    await shop.journal.read()
    tables = {name: await _table(shop, name) for name in QUERIES}
    parked_events, parked_jobs, sequences, acts = [], [], {}, {}
    for service in shop.system.services:
        async with shop.database(service) as connection:
            letters = await connection.fetch("SELECT topic, key, error FROM dead_letters ORDER BY id")
            parked_events += [(f"{service} of {row['topic']}", row["key"], row["error"]) for row in letters]
            jobs = await connection.fetch("SELECT kind, key, error FROM jobs WHERE parked_at IS NOT NULL")
            parked_jobs += [f"{service}: {dict(row)}" for row in jobs]
            acts[service] = await connection.fetch("SELECT number, entry, previous, hash FROM audit ORDER BY number")
            sequences[service] = await _sequences(connection)
    started = shop.system["mail"].started
    assert started
    return Books(
        tables=tables,
        sequences=sequences,
        parked_jobs=parked_jobs,
        parked_events=parked_events,
        ledger=await shop.ledger(),
        mails=await shop.mails(),
        mails_since=started,
        topics=[(place.topic, list(events)) for place, events in shop.journal.envelopes.items()],
        acts=acts,
    )


async def _table(shop: Shop, name: str) -> list[Row]:
    async with shop.database(OWNERS[name]) as connection:
        return [dict(row) for row in await connection.fetch(QUERIES[name])]


async def _sequences(connection: "PoolConnectionProxy[Any]") -> dict[str, int]:
    return {row["key"]: row["last"] for row in await connection.fetch("SELECT key, last FROM sequences")}
