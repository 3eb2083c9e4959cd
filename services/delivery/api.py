"""Delivery's HTTP API: what waits to leave, and the buttons of courier and counter."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from backbone.decision import Refusal
from backbone.http import Command, Db, Paging, Problem
from backbone.http.buttons import Buttons
from backbone.http.opening import OpeningRoute
from backbone.http.permissions import may
from backbone.storage.database import Tx
from backbone.values.fields import Key
from services.delivery import store
from services.delivery.decisions import OPEN, Button, Delivery, Status, press
from services.delivery.events import Fulfilment

router = APIRouter(route_class=OpeningRoute)

PROBLEMS = {
    "No such delivery": "No confirmed order of this id is known to delivery, or not yet.",
    "Wrong button": "The step does not come next for this order; `detail` says where it stands.",
}

OrderId = Annotated[Key, Path(description="The order's id")]


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


class Bag(BaseModel):
    """Names the orders that a button is pressed for: what one courier takes along."""

    model_config = ConfigDict(extra="forbid")

    orders: Annotated[list[Key], Field(min_length=1, max_length=200)]


class Refused(BaseModel):
    order: str
    reason: str


class Pressed(BaseModel):
    """Lists the deliveries that are where the button moves them, and those it does not move."""

    items: list[DeliveryView]
    refused: list[Refused]


@router.get("/deliveries", response_model=DeliveryPage)
@may("deliveries.read")
async def list_deliveries(db: Db, page: Paging, status: Annotated[Filter | None, Query()] = None) -> Any:
    """Lists the deliveries of confirmed orders, the oldest order first."""
    found = await store.list_page(db, page, _statuses(status))
    return page.answer([DeliveryView.model_validate(each) for each in found], key=lambda each: each.order)


@router.post("/deliveries/{order}/dispatched", response_model=DeliveryView)
@may("deliveries.press")
async def mark_order_dispatched(order: OrderId, command: Command) -> Response:
    """Marks the order as dispatched: the courier has left with it."""
    return await BUTTONS.press(command, order, Button.DISPATCHED)


@router.post("/deliveries/{order}/delivered", response_model=DeliveryView)
@may("deliveries.press")
async def mark_order_delivered(order: OrderId, command: Command) -> Response:
    """Marks the order as delivered: the courier has handed it over."""
    return await BUTTONS.press(command, order, Button.DELIVERED)


@router.post("/deliveries/{order}/collected", response_model=DeliveryView)
@may("deliveries.press")
async def mark_order_collected(order: OrderId, command: Command) -> Response:
    """Marks the order as collected: the customer came for it."""
    return await BUTTONS.press(command, order, Button.COLLECTED)


@router.post("/deliveries/dispatched", response_model=Pressed)
@may("deliveries.press")
async def mark_orders_dispatched(body: Bag, command: Command) -> Response:
    """Marks many orders as dispatched; one that is refused does not hold up the others."""
    return await BUTTONS.press_all(command, body.orders, Button.DISPATCHED)


@router.post("/deliveries/delivered", response_model=Pressed)
@may("deliveries.press")
async def mark_orders_delivered(body: Bag, command: Command) -> Response:
    """Marks many orders as delivered; one that is refused does not hold up the others."""
    return await BUTTONS.press_all(command, body.orders, Button.DELIVERED)


@router.post("/deliveries/collected", response_model=Pressed)
@may("deliveries.press")
async def mark_orders_collected(body: Bag, command: Command) -> Response:
    """Marks many orders as collected; one that is refused does not hold up the others."""
    return await BUTTONS.press_all(command, body.orders, Button.COLLECTED)


def _pressed(items: list[DeliveryView], refused: Mapping[str, str]) -> Pressed:
    return Pressed(items=items, refused=[Refused(order=order, reason=reason) for order, reason in refused.items()])


def _unknown(order: str) -> Problem:
    return Problem(404, "No such delivery", f"No confirmed order {order} is known to delivery.")


async def _lock_confirmed(tx: Tx, orders: Sequence[str]) -> dict[str, Delivery]:
    found = await store.lock_all(tx, orders)
    return {order: delivery for order, delivery in found.items() if delivery.fulfilment is not None}


def _refused(refusal: Refusal) -> Problem:
    return Problem(409, "Wrong button", str(refusal))


BUTTONS = Buttons(_lock_confirmed, store.save_all, press, _unknown, _refused, DeliveryView.model_validate, _pressed)


def _statuses(wanted: Filter | None) -> tuple[Status, ...]:
    """Return the statuses that a filter lets through; none without a filter."""
    if wanted is None:
        return ()
    return OPEN if wanted is Filter.OPEN else (Status(wanted),)
