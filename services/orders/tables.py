"""The orders, their timelines and the menu; and the few statements that the hot paths share."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import asyncpg
import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from backbone.events.payload import Cause
from backbone.storage.database import Tx
from services.orders.decisions import Decision
from services.orders.events import Customer, Line, Money
from services.orders.order import Entry, Fact, MenuItem, Order, Status

metadata = MetaData()

# Ids are UUIDv7 in lower case: compared byte by byte, their order is the order of placement.
ID = Text(collation="C")

orders = Table(
    "orders",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("customer_name", Text, nullable=False),
    Column("customer_email", Text, nullable=False),
    Column("fulfilment", Text, nullable=False),
    Column("address", Text),
    Column("lines", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("facts", ARRAY(Text), nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("stepped_at", DateTime(timezone=True), nullable=False),
    Column("delayed", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("correlationid", Text),
    Index("orders_by_status", "status", "id"),
    Index("orders_by_customer", "customer_id", "id"),
)

# No foreign key: a fact about an unknown order is kept too, without a status.
timeline = Table(
    "timeline",
    metadata,
    Column("order_id", ID, primary_key=True),
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("status", Text),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False),
    Column("text", Text, nullable=False),
)

menu = Table(
    "menu",
    metadata,
    Column("item", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("baked", Boolean, nullable=False),
)

Raw: TypeAlias = "asyncpg.Connection[Any]"

# By name: a plan that returns "all" is void once a migration adds a column.
COLUMNS = ", ".join(orders.columns.keys())

# Rows are locked in sorted order, so that two batches never wait for each other in a ring.
_LOAD = f"SELECT {COLUMNS} FROM orders WHERE id = ANY($1) ORDER BY id FOR UPDATE"  # noqa: S608  our own names

# New orders with the beginnings of their timelines, the path of every accepted order. One that is there already (the
# same flush once more, after a commit nobody heard of) is left alone and not returned.
_CREATE = """
WITH created AS (
  INSERT INTO orders (id, customer_id, customer_name, customer_email, fulfilment, address, lines, currency, total,
                      status, reason, facts, placed_at, stepped_at, delayed, version, correlationid)
  SELECT id, customer_id, customer_name, customer_email, fulfilment, address, lines::jsonb, currency, total,
         status, reason, string_to_array(facts, ' '), placed_at, stepped_at, delayed, version,
         correlationid
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::bigint[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::bool[],
              $16::int[], $17::text[])
    AS row(id, customer_id, customer_name, customer_email, fulfilment, address, lines, currency, total,
           status, reason, facts, placed_at, stepped_at, delayed, version, correlationid)
  ON CONFLICT (id) DO NOTHING RETURNING id
), entries AS (
  INSERT INTO timeline (order_id, status, at, event, text)
  SELECT row.* FROM unnest($18::text[], $19::text[], $20::timestamptz[], $21::text[], $22::text[])
    AS row(order_id, status, at, event, text) JOIN created ON created.id = row.order_id
)
SELECT id FROM created
"""

# What can change of many orders, and their new entries in the order given. Facts come as words, because Postgres has
# no arrays of arrays of different lengths.
_SAVE = """
WITH entries AS (
  INSERT INTO timeline (order_id, status, at, event, text)
  SELECT * FROM unnest($8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::text[])
)
UPDATE orders AS o SET status = row.status, reason = row.reason, facts = string_to_array(row.facts, ' '),
                       stepped_at = row.stepped_at, delayed = row.delayed, version = row.version
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bool[], $7::int[])
  AS row(id, status, reason, facts, stepped_at, delayed, version)
WHERE o.id = row.id
"""

_KEEP = """
INSERT INTO timeline (order_id, status, at, event, text)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[])
"""


async def load(raw: Raw, ids: Iterable[str]) -> dict[str, Order]:
    """Those of the orders that exist, locked until the transaction ends."""
    rows = await raw.fetch(_LOAD, sorted(set(ids)))
    return {row["id"]: order_of(row) for row in rows}


async def create(tx: Tx, decided: Sequence[tuple[Decision, Cause]]) -> set[str]:
    """Write new orders with the beginnings of their timelines; returns the ids of those that were not there yet."""
    rows = [(*_row(decision.order), cause.correlationid) for decision, cause in decided]
    entries = [(decision.order.id, entry) for decision, _ in decided for entry in decision.entries]
    created = await tx.raw.fetch(_CREATE, *map(list, zip(*rows, strict=True)), *_columns(entries))
    return {row["id"] for row in created}


def _row(order: Order) -> tuple[Any, ...]:
    """The columns of an order as it was decided, in the order that _CREATE takes them."""
    return (
        order.id,
        order.customer.id,
        order.customer.name,
        order.customer.email,
        order.fulfilment,
        order.address,
        msgspec.json.encode(order.lines).decode(),
        order.total.currency,
        order.total.amount,
        order.status,
        order.reason,
        " ".join(sorted(order.facts)),
        order.placed_at,
        order.stepped_at,
        order.delayed,
        order.version,
    )


async def save(raw: Raw, changed: Sequence[Order], entries: Sequence[tuple[str, Entry]]) -> None:
    """Write what has changed of these orders, and new lines of timelines, each with its order's id."""
    if not changed:
        return
    await raw.execute(
        _SAVE,
        [order.id for order in changed],
        [order.status for order in changed],
        [order.reason for order in changed],
        [" ".join(sorted(order.facts)) for order in changed],
        [order.stepped_at for order in changed],
        [order.delayed for order in changed],
        [order.version for order in changed],
        *_columns(entries),
    )


async def apply(tx: Tx, decision: Decision, cause: Cause) -> None:
    """Write a decision about an order that exists, and publish what it says."""
    order = decision.order
    await save(tx.raw, [order], [(order.id, entry) for entry in decision.entries])
    publish(tx, decision, cause)


async def keep(raw: Raw, entries: Sequence[tuple[str, Entry]]) -> None:
    """Write lines of timelines alone: those of orders that are not known."""
    if not entries:
        return
    await raw.execute(_KEEP, *_columns(entries))


def order_of(row: Any) -> Order:
    """The order in a row that has all columns of the table `orders`."""
    return Order(
        id=row["id"],
        customer=Customer(row["customer_id"], row["customer_name"], row["customer_email"]),
        fulfilment=row["fulfilment"],
        address=row["address"],
        lines=msgspec.convert(row["lines"], tuple[Line, ...]),
        total=Money(row["total"], row["currency"]),
        status=Status(row["status"]),
        reason=row["reason"],
        facts=frozenset(map(Fact, row["facts"])),
        placed_at=row["placed_at"],
        stepped_at=row["stepped_at"],
        delayed=row["delayed"],
        version=row["version"],
        correlationid=row["correlationid"],
    )


def menu_item_of(row: Any, currency: str) -> MenuItem:
    """The item in a row of the table `menu`."""
    return MenuItem(row["item"], row["name"], Money(row["price"], currency), row["baked"])


def publish(tx: Tx, decision: Decision, cause: Cause) -> None:
    """Publish what a decision says happened."""
    for happening in decision.happenings:
        tx.publish(*happening, key=decision.order.id, cause=cause)


def _columns(entries: Sequence[tuple[str, Entry]]) -> tuple[list[Any], ...]:
    return (
        [order for order, _ in entries],
        [entry.status for _, entry in entries],
        [entry.at for _, entry in entries],
        [entry.event for _, entry in entries],
        [entry.text for _, entry in entries],
    )
