"""Tickets in the database."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import select

from backbone.http import Page
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement, rows
from services.kitchen.decisions import Status, Ticket, TicketLine
from services.kitchen.tables import tickets

_LOCK_ALL = Statement(
    "SELECT :t.* FROM tickets AS t WHERE order_id = ANY(:orders::text[]) ORDER BY order_id FOR UPDATE",
    t=tickets,
)
_SAVE_ALL = Statement(
    """
    INSERT INTO tickets (:new.columns) SELECT :new.* FROM :new
    ON CONFLICT (order_id) DO UPDATE SET :new.excluded
    """,
    new=rows(tickets, order_id="order", lines=lambda ticket: msgspec.json.encode(ticket.lines).decode()),
)


async def lock_all(tx: Tx, orders: Iterable[str]) -> dict[str, Ticket]:
    """Return the tickets of these orders, locked in sorted order until the transaction ends.

    Those that do not exist are left out.
    """
    found = await _LOCK_ALL.fetch(tx.raw, orders=list(orders))
    return {row["order_id"]: _ticket(**row) for row in found}


async def save_all(tx: Tx, changed: Collection[Ticket]) -> None:
    """Write tickets that are new or locked."""
    if changed:
        await _SAVE_ALL.execute(tx.raw, new=changed)


async def list_page(database: Database, page: Page, statuses: Collection[Status]) -> list[Ticket]:
    """Return a page of tickets, the oldest order first; of these statuses, if any are given."""
    query = select(tickets).order_by(tickets.c.order_id).limit(page.limit + 1)
    if statuses:
        query = query.where(tickets.c.status.in_(statuses))
    if page.after:
        query = query.where(tickets.c.order_id > page.after)
    async with database.reading() as connection:
        return [_ticket(**row) for row in (await connection.execute(query)).mappings()]


def _ticket(order_id: str, status: str, lines: Any, **known: Any) -> Ticket:
    parts = msgspec.convert(lines, tuple[TicketLine, ...])
    return Ticket(order=order_id, status=Status(status), lines=parts, **known)
