"""The kitchen over HTTP: what is to be baked, and the two buttons beside the oven."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, select

from backbone.database import Tx
from backbone.http import Answer, Command, Db, Page, Paging, Problem
from services.kitchen import tables
from services.kitchen.decisions import OPEN, Button, Decision, Status, Ticket, WrongButton, press
from services.kitchen.tables import tickets

router = APIRouter(tags=["kitchen"])

OrderId = Annotated[str, Path(max_length=64, description="The order's id")]


class Filter(StrEnum):
    OPEN = "open"  # waiting or prepared
    WAITING = "waiting"
    PREPARED = "prepared"
    BAKED = "baked"
    CANCELLED = "cancelled"


class LineView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    item: str
    quantity: int


class TicketView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    order: str
    status: Status
    lines: list[LineView]
    created_at: datetime
    by: str | None


class TicketPage(BaseModel):
    items: list[TicketView]
    next: str | None


@router.get("/tickets", response_model=TicketPage)
async def list_tickets(db: Db, page: Paging, status: Annotated[Filter | None, Query()] = None) -> Any:
    """Tickets, the oldest order first."""
    async with db.reading() as connection:
        rows = (await connection.execute(_listing(page, status))).all()
    return page.answer([TicketView.model_validate(row) for row in rows], key=lambda ticket: ticket.order)


@router.post("/tickets/{order}/prepared", response_model=TicketView)
async def ticket_prepared(order: OrderId, command: Command) -> Response:
    """The pizzas are topped; from here on the order is not cancelled any more."""
    return await command.run(lambda tx: _press(tx, order, Button.PREPARED, command.actor))


@router.post("/tickets/{order}/baked", response_model=TicketView)
async def ticket_baked(order: OrderId, command: Command) -> Response:
    """Everything is out of the oven."""
    return await command.run(lambda tx: _press(tx, order, Button.BAKED, command.actor))


async def _press(tx: Tx, order: str, button: Button, by: str) -> Answer:
    ticket = await tables.lock(tx, order)
    if ticket is None:
        raise Problem(404, "No such ticket", f"The kitchen has no ticket for order {order}.")
    decision = _decide(ticket, button, by)
    await tables.apply(tx, decision)
    return Answer(TicketView.model_validate(decision.ticket))


def _decide(ticket: Ticket, button: Button, by: str) -> Decision:
    try:
        return press(ticket, button, by)
    except WrongButton as refused:
        raise Problem(409, "Wrong button", str(refused)) from None


def _listing(page: Page, status: Filter | None) -> Select[Any]:
    t = tickets.c
    query = select(t.order_id.label("order"), t.status, t.lines, t.created_at, t.by)
    query = query.order_by(t.order_id).limit(page.limit + 1)
    if status:
        query = query.where(t.status.in_(OPEN if status is Filter.OPEN else (status,)))
    return query.where(t.order_id > page.after) if page.after else query
