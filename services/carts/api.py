"""Serves carts over HTTP: put in, take out, say how many, look, check out."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from backbone.decision import Decision
from backbone.http import Answer, Command, Db, Problem
from backbone.http.commands import CommandRequest
from backbone.http.described import ACCEPTED
from backbone.http.doors import Asking, confine
from backbone.http.opening import OpeningRoute
from backbone.http.permissions import may
from backbone.http.problems import invalid
from backbone.identity.caller import Caller
from backbone.storage.database import Tx
from backbone.values.fields import Name
from services.carts import adding, decisions, store
from services.carts.bodies import CartView, CheckoutBody, NewItem, QuantityBody, Received
from services.carts.decisions import Cart, Empty, Full, NoCustomer, NotThere, OtherCustomer, Terms, UnderWay

router = APIRouter(route_class=OpeningRoute)

PROBLEMS = {
    "No such cart": "Nothing was ever put into a cart of this id. Put something in, and there is one.",
    "Not in the cart": "The item is not in the cart, or not any more.",
    "Cart is full": "No order could hold as much; `detail` says of what there is too much.",
    "Cart is empty": "There is nothing to order; `detail` names the order that what was in it has become.",
    "Other customer": "The cart got another customer while it was checked out. Look whose it is, then do it again.",
    "Checkout under way": "An order is being made of the cart, which takes a moment. Until then it stays as it is.",
}

CartId = Annotated[Name, Path(description="The cart's id, which the client chooses: a new one is a new cart")]
ItemId = Annotated[Name, Path(description="The item, as it was put in")]


@router.post("/carts/{cart}/items", status_code=202, response_model=Received, responses={**ACCEPTED, 409: {}})
@may("carts.write", own=True)
async def add_item(cart: CartId, body: NewItem, command: Command) -> Response:
    """Put an item into a cart. Once it is received, every checkout that follows has it."""
    confine(command.caller, body.customer.id if body.customer else None)
    received = _received(cart, body.item, body.quantity, command.context.database.now())
    seal = await command.context.sealing.seal_of(body.customer.id) if body.customer else str
    return await command.run_together(adding.write, body.addition(cart, seal, command.caller), received)


@router.put(
    "/carts/{cart}/items/{item}", status_code=202, response_model=Received, responses={**ACCEPTED, 404: {}, 409: {}}
)
@may("carts.write", own=True)
async def set_quantity(cart: CartId, item: ItemId, body: QuantityBody, command: Command) -> Response:
    """Have so many of an item in a cart, whether it was there or not; 0 takes it out. The cart has to be there."""
    return await command.run(lambda tx: _set(tx, cart, item, body.quantity, command.caller), turn=_turn(cart))


@router.delete(
    "/carts/{cart}/items/{item}", status_code=202, response_model=Received, responses={**ACCEPTED, 404: {}, 409: {}}
)
@may("carts.write", own=True)
async def remove_item(cart: CartId, item: ItemId, command: Command) -> Response:
    """Take an item out of a cart, all there is of it."""

    return await command.run(lambda tx: _remove(tx, cart, item, command.caller), turn=_turn(cart))


@router.get("/carts/{cart}", response_model=CartView)
@may("carts.read", own=True)
async def get_cart(cart: CartId, db: Db, caller: Asking) -> Any:
    """What is in a cart, and what became of its last checkout."""
    return CartView.model_validate(_there(cart, await store.find(db, cart), caller))


@router.post(
    "/carts/{cart}/checkout", status_code=202, response_model=CartView, responses={**ACCEPTED, 404: {}, 409: {}}
)
@may("carts.write", own=True)
async def check_out_cart(cart: CartId, body: CheckoutBody, command: Command) -> Response:
    """Have an order made of all that was received. The cart, at its Location, tells the order, or why there is none."""
    currency = command.context.settings.currency
    if body.currency != currency:
        raise invalid([{"field": "currency", "message": f"must be {currency}"}])
    confine(command.caller, body.customer.id if body.customer else None)
    terms = await _terms(cart, body, command)
    return await command.run(lambda tx: _check_out(tx, cart, terms, command.caller), turn=_turn(cart))


async def _terms(cart: str, body: CheckoutBody, command: CommandRequest) -> Terms:
    """Return the terms, sealed for whom the cart is; where nobody is known nothing is sealed, and nothing ordered."""
    found = _there(cart, await store.find(command.context.database.for_queries, cart), command.caller)
    customer = body.customer or found.customer
    if customer is None:
        return body.terms(None, str)
    return body.terms(customer.id, await command.context.sealing.seal_of(customer.id))


async def _remove(tx: Tx, cart_id: str, item: str, caller: Caller) -> Answer:
    cart = await _lock(tx, cart_id, caller)
    try:
        decision = decisions.remove(cart, item, tx.now)
    except NotThere as missing:
        raise Problem(404, "Not in the cart", str(missing)) from None
    except UnderWay as under_way:
        raise adding.being_ordered(under_way) from None
    await _carry_out(tx, decision)
    [quantity] = (line.quantity for line in cart.lines if line.item == item)
    return _received(cart_id, item, quantity, tx.now)


async def _set(tx: Tx, cart_id: str, item: str, quantity: int, caller: Caller) -> Answer:
    cart = await _lock(tx, cart_id, caller)
    try:
        decision = decisions.set_quantity(cart, item, quantity, tx.now)
    except Full as full:
        raise adding.too_full(full) from None
    except UnderWay as under_way:
        raise adding.being_ordered(under_way) from None
    await _carry_out(tx, decision)
    return _received(cart_id, item, quantity, tx.now)


async def _check_out(tx: Tx, cart_id: str, terms: Terms, caller: Caller) -> Answer:
    cart = await _lock(tx, cart_id, caller)
    try:
        decision = decisions.check_out(cart, terms, tx.now)
    except Empty as empty:
        raise Problem(409, "Cart is empty", str(empty)) from None
    except NoCustomer as missing:
        raise invalid([{"field": "customer", "message": str(missing)}]) from None
    except OtherCustomer as other:
        raise Problem(409, "Other customer", str(other), headers={"Retry-After": "1"}) from None
    await _carry_out(tx, decision)
    return _going_on(CartView.model_validate(decision.state), cart_id)


async def _lock(tx: Tx, cart: str, caller: Caller) -> Cart:
    return _there(cart, (await store.lock_all(tx, [cart])).get(cart), caller)


def _there(name: str, cart: Cart | None, caller: Caller) -> Cart:
    """Return a cart that is the caller's to see, or nobody's yet. Raises Problem 404."""
    if cart is None or not caller.may_touch(cart.customer.id if cart.customer else None):
        raise adding.unknown(name)
    return cart


async def _carry_out(tx: Tx, decision: Decision[Cart]) -> None:
    tx.apply(decision, key=decision.state.id)
    await store.save_all(tx, [decision.state])


def _received(cart: str, item: str, quantity: int, at: datetime) -> Answer:
    return _going_on(Received(cart=cart, item=item, quantity=quantity, status="received", at=at), cart)


def _going_on(body: BaseModel, cart: str) -> Answer:
    return Answer(body, 202, {"Location": f"/carts/{cart}", "Retry-After": "1"})


def _turn(cart: str) -> str:
    """Name what commands on a cart wait for, whichever of its items they are about."""
    return f"cart {cart}"
