"""Delivery over HTTP: what waits to leave, and the buttons of courier and counter."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, select

from backbone.database import Tx
from backbone.http import Answer, Command, Db, Page, Paging, Problem
from services.delivery import tables
from services.delivery.decisions import OPEN, Button, Decision, Delivery, Status, WrongButton, press
from services.delivery.events import Fulfilment
from services.delivery.tables import deliveries

router = APIRouter(tags=["delivery"])

OrderId = Annotated[str, Path(max_length=64, description="The order's id")]


class Filter(StrEnum):
    OPEN = "open"  # ready or dispatched
    WAITING = "waiting"
    READY = "ready"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    COLLECTED = "collected"
    CANCELLED = "cancelled"


class DeliveryView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    order: str
    status: Status
    fulfilment: Fulfilment
    address: str | None
    customer_name: str
    created_at: datetime
    by: str | None


class DeliveryPage(BaseModel):
    items: list[DeliveryView]
    next: str | None


@router.get("/deliveries", response_model=DeliveryPage)
async def list_deliveries(db: Db, page: Paging, status: Annotated[Filter | None, Query()] = None) -> Any:
    """Deliveries of confirmed orders, the oldest order first."""
    async with db.reading() as connection:
        rows = (await connection.execute(_listing(page, status))).all()
    return page.answer([DeliveryView.model_validate(row) for row in rows], key=lambda each: each.order)


@router.post("/deliveries/{order}/dispatched", response_model=DeliveryView)
async def order_dispatched(order: OrderId, command: Command) -> Response:
    """The courier has left with it."""
    return await command.run(lambda tx: _press(tx, order, Button.DISPATCHED, command.actor))


@router.post("/deliveries/{order}/delivered", response_model=DeliveryView)
async def order_delivered(order: OrderId, command: Command) -> Response:
    """The courier has handed it over."""
    return await command.run(lambda tx: _press(tx, order, Button.DELIVERED, command.actor))


@router.post("/deliveries/{order}/collected", response_model=DeliveryView)
async def order_collected(order: OrderId, command: Command) -> Response:
    """The customer came for it."""
    return await command.run(lambda tx: _press(tx, order, Button.COLLECTED, command.actor))


async def _press(tx: Tx, order: str, button: Button, by: str) -> Answer:
    delivery = await tables.lock(tx, order)
    if delivery is None or delivery.fulfilment is None:
        raise Problem(404, "No such delivery", f"No confirmed order {order} is known to delivery.")
    decision = _decide(delivery, button, by)
    await tables.apply(tx, decision)
    return Answer(DeliveryView.model_validate(decision.delivery))


def _decide(delivery: Delivery, button: Button, by: str) -> Decision:
    try:
        return press(delivery, button, by)
    except WrongButton as refused:
        raise Problem(409, "Wrong button", str(refused)) from None


def _listing(page: Page, status: Filter | None) -> Select[Any]:
    d = deliveries.c
    query = select(d.order_id.label("order"), d.status, d.fulfilment, d.address, d.customer_name, d.created_at, d.by)
    query = query.order_by(d.order_id).limit(page.limit + 1)
    query = query.where(d.fulfilment.is_not(None))  # else begun by the oven, and not yet known as an order
    if status:
        query = query.where(d.status.in_(OPEN if status is Filter.OPEN else (status,)))
    return query.where(d.order_id > page.after) if page.after else query
