"""Cancels an order, or gives money back, for those who may: what will happen is said first."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from backbone.values.currencies import minor_digits
from services.console import elements, forms
from services.console.asking import Ask, Refused, at
from services.console.elements import WRONG, money, notice
from services.console.pages.orders import wanted
from services.console.routing import Pages
from services.console.shell import Page

ORDERS = "orders"
CANCEL, REFUND = "/orders/{order}/cancel", "/orders/{order}/refund"

_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)

pages = Pages()


@pages.page(CANCEL, "orders.cancel")
async def plan_cancelling(ask: Ask) -> Page:
    """Says what cancelling an order does, and asks for it."""
    return await _cancelling(ask)


@pages.act(CANCEL, "orders.cancel")
async def cancel(ask: Ask) -> Page | str:
    """Cancels an order."""
    path = at(CANCEL, order=ask.path["order"])
    if not forms.is_typed(ask.form, "cancel it", "cancel"):
        return await _cancelling(ask, "Nothing was done: type cancel to confirm.")
    try:
        await ask.act("POST", ORDERS, path, {"reason": ask.form.get("reason") or None}, key=ask.form.get("key"))
    except Refused as refused:
        return await _cancelling(ask, str(refused))
    return at("/orders/{order}", order=ask.path["order"])


@pages.page(REFUND, "orders.refund")
async def plan_refunding(ask: Ask) -> Page:
    """Says what can be given back, and asks how much."""
    return await _refunding(ask)


@pages.act(REFUND, "orders.refund")
async def refund(ask: Ask) -> Page | str:
    """Gives money back."""
    try:
        amount = minor(ask.form.get("amount", ""), ask.form.get("currency", ""))
    except ValueError:
        return await _refunding(ask, "The amount is a number like 5.00; leave it out for all that is left.")
    if not forms.is_typed(ask.form, "give it back", "refund"):
        return await _refunding(ask, "Nothing was done: type refund to confirm.")
    body = {
        "reason": ask.form.get("reason", ""),
        **({"amount": {"amount": amount, "currency": ask.form.get("currency", "")}} if amount is not None else {}),
    }
    try:
        await ask.act(
            "POST", ORDERS, at("/orders/{order}/refunds", order=ask.path["order"]), body, key=ask.form.get("key")
        )
    except Refused as refused:
        return await _refunding(ask, "; ".join(refused.errors.values()) or str(refused))
    return at("/orders/{order}", order=ask.path["order"])


async def _cancelling(ask: Ask, refused: str = "") -> Page:
    order = await _order(ask)
    path = at(CANCEL, order=ask.path["order"])
    plan = [
        f"{wanted(order['lines'])} for {order['customer']['name']}, {money(order['total'])}, is {order['status']}.",
        " The kitchen and the courier are asked whether they have begun. Where they have not, stock is released and "
        "what was charged is given back as a whole; otherwise the order goes on.",
    ]
    fields = [
        elements.field(
            "reason", "Why", ask.form.get("reason", ""), help_text="Its customer reads this.", maxlength="500"
        ),
        forms.typed("cancel it", "cancel"),
    ]
    says = _says(ask, path, "The customer called.")
    return _page(ask, "Cancel", path, plan, fields, says, refused)


async def _refunding(ask: Ask, refused: str = "") -> Page:
    order = await _order(ask)
    currency = order["total"]["currency"]
    gone = [each for each in order["refunds"] if each["status"] != "failed"]
    left = order["total"]["amount"] - sum(each["amount"]["amount"] for each in gone)
    plan = [
        f"{money(order['total'])} was the price; {money({'amount': left, 'currency': currency})} of it is left.",
        " Payments gives back what you say, and tells when it has.",
    ]
    fields = [
        elements.field(
            "amount",
            f"How much, in {currency}",
            ask.form.get("amount", ""),
            help_text="Empty: all that is left.",
            inputmode="decimal",
        ),
        h.input(type="hidden", name="currency", value=currency),
        elements.field("reason", "Why", ask.form.get("reason", ""), required=True, maxlength="500"),
        forms.typed("give it back", "refund"),
    ]
    says = _says(ask, at("/orders/{order}/refunds", order=order["id"]), "It came cold.")
    return _page(ask, "Refund", at(REFUND, order=order["id"]), plan, fields, says, refused)


def _page(ask: Ask, word: str, path: str, plan: Node, fields: list[Node], says: str, refused: str) -> Page:
    order = ask.path["order"]
    body = [
        notice(refused, WRONG) if refused else None,
        h.div(".panel")[h.p[plan]],
        h.form(method="post", action=path)[
            h.input(type="hidden", name="key", value=new_id()),
            fields,
            h.p[
                h.button(".danger", type="submit")[word],
                " ",
                h.a(href=at("/orders/{order}", order=order))["Back to the order"],
            ],
        ],
    ]
    return Page(f"{word} order …{order[-8:]}", body, (says,), status=422 if refused else 200)


async def _order(ask: Ask) -> Mapping[str, Any]:
    """Return the order. Raises Refused."""
    found: Mapping[str, Any] = await ask.get(ORDERS, at("/orders/{order}", order=ask.path["order"]))
    return found


def _says(ask: Ask, path: str, reason: str) -> str:
    return elements.curl("operator", ask.services.address(ORDERS) + path, {"reason": reason})


def minor(text: str, currency: str) -> int | None:
    """Read an amount as people write it: 5.00 GBP are 500; None where nothing is said. Raises ValueError."""
    if not text.strip():
        return None
    if not _AMOUNT.fullmatch(text.strip()):
        raise ValueError(text)
    amount = Decimal(text.strip()) * 10 ** minor_digits(currency)
    if amount != int(amount) or amount <= 0:
        raise ValueError(text)
    return int(amount)
