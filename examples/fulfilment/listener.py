"""Writes a shipping label for every confirmed order that goes to an address."""

from typing import ClassVar

import msgspec
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from backbone.events.payload import Event, Payload
from backbone.http import Db, Problem, may
from backbone.http.opening import OpeningRoute
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Tx
from backbone.storage.statement import Statement

ADD = Statement("INSERT INTO labels (order_id, text) VALUES (:order, :text)")
FIND = Statement("SELECT text FROM labels WHERE order_id = :order")
PROBLEMS = {"No such label": "Nothing is sent for this order, or it is not confirmed yet."}
router = APIRouter(route_class=OpeningRoute)


class Customer(msgspec.Struct, frozen=True):
    name: str


class Line(msgspec.Struct, frozen=True):
    item: str
    quantity: int


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    """Is the partner's view: of the shop's event only what stands on a label."""

    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    customer: Customer
    address: str | None
    lines: tuple[Line, ...]


async def write_label(event: Event[OrderConfirmed], tx: Tx) -> None:
    """Write the label in the transaction that notes the event as handled: once, whatever is killed."""
    order = event.data
    if order.address is not None:  # else the customer fetches it
        goods = [f"{line.quantity} x {line.item}" for line in order.lines]
        await ADD.execute(tx.raw, order=order.order, text="\n".join([order.customer.name, order.address, *goods]))


@router.get("/labels/{order}", response_class=PlainTextResponse)
@may("deliveries.read")
async def get_label(order: str, db: Db) -> str:
    """Shows an order's label."""
    if not (found := await FIND.fetch(db, order=order)):
        raise Problem(404, "No such label", f"There is no label for an order {order}.")
    return f"{found[0]['text']}\n"


SERVICE = Service(
    name="fulfilment",
    settings=Settings,
    router=router,
    handlers={OrderConfirmed: write_label},
    problems=PROBLEMS,
)
