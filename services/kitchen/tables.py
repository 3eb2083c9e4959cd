"""The kitchen's table, and the few statements that read and write one ticket."""

from collections.abc import Iterable

import asyncpg
import msgspec
from sqlalchemy import CheckConstraint, Column, DateTime, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from backbone.storage.database import Tx
from services.kitchen.decisions import Status, Ticket, TicketLine

metadata = MetaData()

# Order ids are UUIDv7: sorted as bytes they come in the order in which customers placed them.
tickets = Table(
    "tickets",
    metadata,
    Column("order_id", Text(collation="C"), primary_key=True),
    Column("status", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("by", Text),
    Column("correlationid", Text),
    CheckConstraint("status IN ('waiting', 'prepared', 'baked', 'cancelled')", name="tickets_status"),
)
Index("tickets_status_order", tickets.c.status, tickets.c.order_id)

_LOCK_ALL = """
    SELECT order_id, status, lines::text, created_at, "by", correlationid FROM tickets
    WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE
"""
_SAVE_ALL = """
    INSERT INTO tickets (order_id, status, lines, created_at, "by", correlationid)
    SELECT order_id, status, lines::jsonb, created_at, "by", correlationid
    FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
        AS new(order_id, status, lines, created_at, "by", correlationid)
    ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, "by" = excluded."by"
"""


async def lock_all(tx: Tx, orders: Iterable[str]) -> dict[str, Ticket]:
    """The tickets of these orders, those that exist, locked in sorted order until the transaction ends."""
    rows = await tx.raw.fetch(_LOCK_ALL, list(orders))
    return {row["order_id"]: _ticket(row) for row in rows}


async def save_all(tx: Tx, tickets: Iterable[Ticket]) -> None:
    """Write tickets that are new or locked."""
    rows = [(each.order, each.status, _lines(each), each.created_at, each.by, each.correlationid) for each in tickets]
    if rows:
        await tx.raw.execute(_SAVE_ALL, *map(list, zip(*rows, strict=True)))


def _ticket(row: asyncpg.Record) -> Ticket:
    lines = msgspec.json.decode(row["lines"], type=tuple[TicketLine, ...])
    return Ticket(row["order_id"], Status(row["status"]), lines, row["created_at"], row["by"], row["correlationid"])


def _lines(ticket: Ticket) -> str:
    return msgspec.json.encode(ticket.lines).decode()
