"""The kitchen's HTTP API: what is to be baked, and the two buttons beside the oven."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from backbone.decision import Refusal
from backbone.http import Command, Db, Paging, Problem
from backbone.http.buttons import Buttons
from backbone.http.permissions import may
from backbone.values.fields import Key
from services.kitchen import store
from services.kitchen.decisions import OPEN, Button, Status, press

router = APIRouter()

PROBLEMS = {
    "No such ticket": "The kitchen has no ticket of this order, or not yet, or it has nothing to bake.",
    "Wrong button": "The step does not come next for this order; `detail` says where it stands.",
}

OrderId = Annotated[Key, Path(description="The order's id")]


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


class OvenLoad(BaseModel):
    """Names the orders whose tickets a button is pressed for."""

    model_config = ConfigDict(extra="forbid")

    orders: Annotated[list[Key], Field(min_length=1, max_length=200)]


class Refused(BaseModel):
    order: str
    reason: str


class Pressed(BaseModel):
    """Lists the tickets that are where the button moves them, and those it does not move."""

    items: list[TicketView]
    refused: list[Refused]


@router.get("/tickets", response_model=TicketPage)
@may("tickets.read")
async def list_tickets(db: Db, page: Paging, status: Annotated[Filter | None, Query()] = None) -> Any:
    """Lists the tickets, the oldest order first."""
    found = await store.list_page(db, page, _statuses(status))
    return page.answer([TicketView.model_validate(each) for each in found], key=lambda ticket: ticket.order)


@router.post("/tickets/{order}/prepared", response_model=TicketView)
@may("tickets.press")
async def mark_ticket_prepared(order: OrderId, command: Command) -> Response:
    """Marks the ticket as prepared: the pizzas are topped.

    From here on the order is not cancelled any more.
    """
    return await BUTTONS.press(command, order, Button.PREPARED)


@router.post("/tickets/{order}/baked", response_model=TicketView)
@may("tickets.press")
async def mark_ticket_baked(order: OrderId, command: Command) -> Response:
    """Marks the ticket as baked: everything is out of the oven."""
    return await BUTTONS.press(command, order, Button.BAKED)


@router.post("/tickets/prepared", response_model=Pressed)
@may("tickets.press")
async def mark_tickets_prepared(body: OvenLoad, command: Command) -> Response:
    """Marks many tickets as prepared; one that is refused does not hold up the others."""
    return await BUTTONS.press_all(command, body.orders, Button.PREPARED)


@router.post("/tickets/baked", response_model=Pressed)
@may("tickets.press")
async def mark_tickets_baked(body: OvenLoad, command: Command) -> Response:
    """Marks many tickets as baked; one that is refused does not hold up the others."""
    return await BUTTONS.press_all(command, body.orders, Button.BAKED)


def _pressed(items: list[TicketView], refused: Mapping[str, str]) -> Pressed:
    return Pressed(items=items, refused=[Refused(order=order, reason=reason) for order, reason in refused.items()])


def _unknown(order: str) -> Problem:
    return Problem(404, "No such ticket", f"The kitchen has no ticket for order {order}.")


def _refused(refusal: Refusal) -> Problem:
    return Problem(409, "Wrong button", str(refusal))


BUTTONS = Buttons(store.lock_all, store.save_all, press, _unknown, _refused, TicketView.model_validate, _pressed)


def _statuses(wanted: Filter | None) -> tuple[Status, ...]:
    """Return the statuses that a filter lets through; none without a filter."""
    if wanted is None:
        return ()
    return OPEN if wanted is Filter.OPEN else (Status(wanted),)
