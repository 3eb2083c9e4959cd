"""Orders' HTTP API: placing, cancelling, looking up and following orders.

`listing` adds lists of them, `menu_api` the menu.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from backbone.http import Answer, Command, Db, Problem
from backbone.http.commands import CommandRequest
from backbone.http.context import Ctx
from backbone.http.described import ACCEPTED
from backbone.http.doors import Asking
from backbone.http.opening import OpeningRoute
from backbone.http.permissions import may
from backbone.http.problems import invalid
from backbone.http.streams import STREAMED, EventStream, LastEventId, stream
from backbone.identity.caller import Caller
from backbone.ids import new_id
from backbone.storage.database import Tx
from backbone.storage.statement import Session
from backbone.values.fields import Key
from services.orders import decisions, menu_api, refunds, store
from services.orders.bodies import Cancellation, Forgotten, NewOrder, OrderDocument, RefundBody
from services.orders.decisions import Decision, TooLate
from services.orders.events import Money
from services.orders.following import find, following
from services.orders.forgetting import forget
from services.orders.listing import api as listing
from services.orders.order import Order, Refund
from services.orders.placing import PLACING, going_on
from services.orders.refunds import NothingPaid, TooMuch
from services.orders.settings import Settings
from services.orders.showing import Document, document

router = APIRouter(route_class=OpeningRoute)
router.include_router(menu_api.router)
router.include_router(listing.router)  # before an order: its count is none

PROBLEMS = {
    **menu_api.PROBLEMS,
    "No such order": "No order has this id; it is the one that placing it answered.",
    "Nothing to refund": "The order was not charged, or its payment is undone as a whole; `detail` says which.",
    "Refund too large": "More would be given back than is left of what was paid; `left` says how much that is.",
    "Too late to cancel": "The order was started or has ended, so it goes on as it is; `detail` says where it stands.",
}

OrderId = Annotated[Key, Path(description="The order's id")]
CustomerId = Annotated[Key, Path(description="The customer's id")]


@router.post("/orders", status_code=202, response_model=OrderDocument, responses=ACCEPTED)
@may("orders.place", own=True)
async def place_order(body: NewOrder, command: Command) -> Response:
    """Accepts an order. Stock and payment are seen to afterwards: follow it at its Location."""
    return await command.run_grouped(PLACING, body)


@router.post("/orders/{order}/cancel", status_code=202, response_model=OrderDocument, responses=ACCEPTED)
@may("orders.cancel", own=True)
async def cancel_order(order: OrderId, command: Command, body: Cancellation | None = None) -> Response:
    """Cancels an order at once before confirmation; afterwards asks whoever may have started.

    When it is too late, the answer is a 409.
    """
    reason = (body.reason if body else None) or f"Cancelled on request of {command.actor}."
    return await command.run(lambda tx: _cancel(tx, order, reason, command))


@router.post("/orders/{order}/refunds", status_code=202, response_model=OrderDocument, responses=ACCEPTED)
@may("orders.refund")
async def refund_order(order: OrderId, body: RefundBody, command: Command) -> Response:
    """Gives back a part of what was paid, or all that is left of it. Payments sees to that afterwards.

    More than is left, and an order that was not charged or whose payment is undone anyhow, is a 409.
    """
    return await command.run(lambda tx: _refund(tx, order, body, command))


@router.post("/customers/{customer:path}/forget", status_code=202, response_model=Forgotten)
@may("customers.forget")
async def forget_customer(customer: CustomerId, command: Command) -> Response:
    """Makes unreadable for good what was sealed of a customer, here and wherever it went; carts and reviews follow.

    Orders that are under way go on without name and address: cancel them first. What the customer orders later is
    sealed anew.
    """
    answer = await command.run(lambda tx: forget(tx, customer, command.actor))
    command.context.sealing.drop()
    return answer


@router.get("/orders/{order}", response_model=OrderDocument)
@may("orders.read", own=True)
async def get_order(order: OrderId, db: Db, context: Ctx, caller: Asking) -> Any:
    """Shows an order with everything that has happened to it."""
    return await _shown(db, order, context.settings, caller)


@router.get("/orders/{order}/stream", response_class=EventStream, responses=STREAMED)
@may("orders.read", own=True)
async def follow_order(
    order: OrderId, context: Ctx, db: Db, caller: Asking, last_event_id: LastEventId = None
) -> Response:
    """Sends the whole order as server-sent events, at once and whenever it changes.

    The stream ends when all is done, or undone again. A client that comes again with its
    Last-Event-ID gets only what is newer, and 204 once nothing more is expected.
    """
    if caller.only is not None:
        await _shown(db, order, context.settings, caller)
    found = await context.coalesce(find).submit(order)
    if found is None:
        raise _unknown(order)
    return stream(found, following(context), last_event_id, context, caller)


async def _cancel(tx: Tx, order_id: str, reason: str, command: CommandRequest) -> Answer:
    order = await store.lock(tx, order_id)
    if order is None or not command.caller.may_touch(order.customer.id):
        raise _unknown(order_id)
    decision = _decide_cancellation(order, reason, tx)
    if decision.entries:
        await store.save_all(tx, [decision])
        tx.apply(decision, key=order_id, cause=tx.cause.within(order.correlationid))
    return going_on(await _shown(tx.raw, order_id, command.context.settings, command.caller))


async def _refund(tx: Tx, order_id: str, body: RefundBody, command: CommandRequest) -> Answer:
    order = await store.lock(tx, order_id)
    if order is None:
        raise _unknown(order_id)
    decision = _decide_refund(order, await store.list_refunds(tx, order_id), body, command.actor, tx)
    await store.save_all(tx, [decision])
    tx.apply(decision, key=order_id, cause=tx.cause.within(order.correlationid))
    return going_on(await _shown(tx.raw, order_id, command.context.settings, command.caller))


def _decide_refund(order: Order, earlier: Sequence[Refund], body: RefundBody, actor: str, tx: Tx) -> Decision:
    amount = Money(body.amount.amount, body.amount.currency) if body.amount else None
    if amount and amount.currency != order.total.currency:
        raise invalid([{"field": "amount.currency", "message": f"must be {order.total.currency}"}])
    try:
        return refunds.request(order, earlier, amount, body.reason, actor, new_id(), tx.now)
    except NothingPaid as refusal:
        raise Problem(409, "Nothing to refund", str(refusal)) from None
    except TooMuch as refusal:
        raise Problem(409, "Refund too large", str(refusal), left=refusal.left) from None


def _decide_cancellation(order: Order, reason: str, tx: Tx) -> Decision:
    try:
        return decisions.cancel(order, reason, tx.now)
    except TooLate as late:
        raise Problem(409, "Too late to cancel", str(late)) from None


async def _shown(session: Session, order: str, settings: Settings, caller: Caller) -> Document:
    """Return an order as it is shown. Raises Problem 404 where there is none, or none that is the caller's to see."""
    found = await store.find(session, order)
    if found is None or not caller.may_touch(found.order.customer.id):
        raise _unknown(order)
    return document(*found, settings.usual)


def _unknown(order: str) -> Problem:
    return Problem(404, "No such order", f"No order has the id {order}.")
