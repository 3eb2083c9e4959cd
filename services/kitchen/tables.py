"""The kitchen's table, and the few statements that read and write one ticket."""

from collections.abc import Iterable

import asyncpg
import msgspec
from sqlalchemy import CheckConstraint, Column, DateTime, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from backbone.database import Tx
from services.kitchen.decisions import Decision, Status, Ticket, TicketLine

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
    CheckConstraint("status IN ('waiting', 'prepared', 'baked', 'cancelled')", name="tickets_status"),
)
Index("tickets_status_order", tickets.c.status, tickets.c.order_id)

_LOCK_ALL = "SELECT FROM tickets WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE"
_LOCK = 'SELECT status, lines::text, created_at, "by" FROM tickets WHERE order_id = $1 FOR UPDATE'
_ADD = """
    INSERT INTO tickets (order_id, status, lines, created_at) VALUES ($1, $2, $3::text::jsonb, $4)
    ON CONFLICT (order_id) DO NOTHING
"""
_SAVE = 'UPDATE tickets SET status = $2, "by" = $3 WHERE order_id = $1'


async def lock_all(tx: Tx, orders: Iterable[str]) -> None:
    """Lock the tickets of these orders, those that exist, in sorted order."""
    await tx.raw.execute(_LOCK_ALL, sorted(set(orders)))


async def lock(tx: Tx, order: str) -> Ticket | None:
    """The ticket of this order, locked until the transaction ends."""
    row: asyncpg.Record | None = await tx.raw.fetchrow(_LOCK, order)
    if row is None:
        return None
    lines = msgspec.json.decode(row["lines"], type=tuple[TicketLine, ...])
    return Ticket(order, Status(row["status"]), lines, row["created_at"], row["by"])


async def add(tx: Tx, ticket: Ticket) -> None:
    lines = msgspec.json.encode(ticket.lines).decode()
    await tx.raw.execute(_ADD, ticket.order, ticket.status, lines, ticket.created_at)


async def apply(tx: Tx, decision: Decision) -> None:
    """Write the locked ticket as decided, and publish what is told about it."""
    ticket = decision.ticket
    await tx.raw.execute(_SAVE, ticket.order, ticket.status, ticket.by)
    for event in decision.events:
        tx.publish(event, key=ticket.order)
