"""Shows customers their orders, live, and lets them cancel one or say how it was."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console import buying
from services.console.answering import refused_with, whole
from services.console.asking import Ask, Refused, at
from services.console.buying import ORDERS, call_number
from services.console.elements import (
    KINDS,
    WAITS,
    WRONG,
    address,
    curl,
    field,
    identity,
    live,
    mark,
    moment,
    money,
    more,
    notice,
    numbers,
    row,
    table,
)
from services.console.routing import Pages
from services.console.shell import Page
from services.console.steps import CANCELLABLE, NEXT, NOW, WORDS, Order, pieces, steps_of

pages = Pages()
pages.section("/my-orders", "My orders", "Order", *ORDERS)
CANCELS = ("orders.cancel.own", "orders.cancel")
REVIEWS = ("reviews.write.own", "reviews.write")
POINTS = ("points.read.own", "points.read")
SIGNS = {"done": "✓", NOW: "●", NEXT: "○"}


@pages.page("/my-orders", *ORDERS)
async def my_orders(ask: Ask) -> Page:
    """Lists the orders of whoever looks, with the points that they gave."""
    where = address("/live/my-orders/list", {"after": ask.query.get("after")})
    return Page("My orders", [await _points(ask), live(where, await listed(ask))], (_asked(ask, "/orders"),))


@pages.part("/my-orders/list", *ORDERS, personal=True)
async def listed(ask: Ask) -> Node:
    """Lists the orders of whoever looks, the newest first."""
    me, after = ask.need().name, ask.query.get("after")
    found = await ask.get("orders", "/orders", customer=me, after=after)
    counted = await ask.get("orders", "/orders/count", customer=me) if found["next"] or after else None
    shown = found["items"]
    names = await buying.names(ask, (line["item"] for order in shown for line in order["lines"]))
    empty = ["Here are your orders, once you have any. ", h.a(href="/shop")["To the menu"]]
    heads = ["Number", "Ordered", "What", "Together", "Stands", "Next"]
    return [
        table(heads, [_row(each, names) for each in shown], empty, "Your orders"),
        more(len(shown), _whole(counted), "/my-orders", ask.query, found["next"]) if shown else None,
    ]


def _whole(counted: Mapping[str, Any] | None) -> int | str | None:
    if counted is None:
        return None
    return int(counted["count"]) if counted["exact"] else f"more than {counted['count']:,}"


def _row(order: Order, names: Mapping[str, str]) -> Node:
    to, expected = at("/my-orders/{order}", order=order["id"]), order["expected"]
    return row(
        h.a(href=to)[call_number(order["id"])],
        moment(order["placed_at"]),
        pieces(order["lines"], names),
        money(order["total"]),
        mark(WORDS[order["status"]], KINDS.get(order["status"], WAITS)),
        [WORDS[expected["step"]], " ", moment(expected["at"])] if expected else "–",
        to=to,
    )


async def _points(ask: Ask) -> Node:
    """Show the points of whoever looks, where the shop gives any."""
    if "loyalty" not in ask.services.names or not ask.may(*POINTS):
        return None
    try:
        found = await ask.get("loyalty", at("/customers/{customer}/points", customer=ask.need().name), limit=1)
    except Refused:  # the orders are there all the same
        return numbers(("Your points", "not to be had now"))
    return numbers(("Your points", f"{found['points']:,}"))


@pages.page("/my-orders/{order}", *ORDERS, live=True)
async def my_order(ask: Ask) -> Page:
    """Shows where an order stands, what comes next and when, and all that has happened to it."""
    order = await ask.found("orders", at("/orders/{order}", order=ask.path["order"]))
    if order is None:
        return _unknown(ask)
    names = await buying.names(ask, (line["item"] for line in order["lines"]))
    says = _asked(ask, f"/orders/{order['id']}"), _asked(ask, f"/orders/{order['id']}/stream")
    body = [_now(order), _track(order), await _may_do(ask, order), _bought(order, names), _timeline(order)]
    return Page(f"Order {call_number(order['id'])}", body, says)


def _unknown(ask: Ask) -> Page:
    text = [f"You have no order {ask.path['order']}. ", h.a(href="/my-orders")["To your orders"]]
    return Page("There is no such order", notice(text, WRONG), (_asked(ask, "/orders"),), status=404)


def _asked(ask: Ask, path: str) -> str:
    return curl("customer", ask.services.address("orders") + path)


def _now(order: Order) -> Node:
    """Say in one sentence how it is and what comes next."""
    status, expected = order["status"], order["expected"]
    after = [". Next: ", WORDS[expected["step"]].lower(), ", expected ", moment(expected["at"])] if expected else None
    why = f": {order['reason']}" if order["reason"] else None
    return h.div(f".notice.large.{KINDS.get(status, WAITS)}", role="status")[
        h.span(aria_hidden="true")[SIGNS[NOW] if expected else SIGNS["done"] if status == "completed" else "–"],
        " ",
        WORDS[status],
        why,
        after,
    ]


def _track(order: Order) -> Node:
    return h.ol(".track", aria_label="Steps")[
        (
            h.li(f".{step.state}", aria_current="step" if step.state == NOW else None)[
                h.span(".sign", aria_hidden="true")[SIGNS[step.state]],
                h.span[step.words],
                h.small[moment(step.at) if step.at else "to come"],
            ]
            for step in steps_of(order)
        )
    ]


async def _may_do(ask: Ask, order: Order) -> Node:
    this = {"order": order["id"]}
    may: list[Node] = []
    if order["status"] in CANCELLABLE and ask.may(*CANCELS):
        may.append(h.a(".act", href=at("/my-orders/{order}/cancel", **this))["Cancel this order"])
    if order["status"] == "completed":
        may.append(await _said(ask, order))
    return h.p(".acts")[may] if any(may) else None


async def _said(ask: Ask, order: Order) -> Node:
    """Show what whoever looks has said of the order, or lead to where it can be said."""
    review = await _review_of(ask, order["id"])
    if review:
        stars = f"{'★' * review['stars']}{'☆' * (5 - review['stars'])}" if review["stars"] else ""
        aloud = f"{review['stars']} of 5 stars. " if review["stars"] else ""
        return ["You said: ", h.span(aria_hidden="true")[stars], h.span(".hidden")[aloud], " ", review["text"]]
    if "reviews" not in ask.services.names or not ask.may(*REVIEWS):
        return None
    return h.a(".act.main", href=at("/my-orders/{order}/review", order=order["id"]))["Say how it was"]


async def _review_of(ask: Ask, order: str) -> Mapping[str, Any] | None:
    if "reviews" not in ask.services.names or not ask.may("reviews.read.own", "reviews.read"):
        return None
    try:
        found = await ask.get("reviews", at("/orders/{order}/reviews", order=order), limit=1)
    except Refused:  # the order is there all the same
        return None
    return found["items"][0] if found["items"] else None


def _bought(order: Order, names: Mapping[str, str]) -> Node:
    lines = [
        row(
            f"{line['quantity']} × {names.get(line['item'], line['item'])}",
            money({**line["unit_price"], "amount": line["unit_price"]["amount"] * line["quantity"]}),
        )
        for line in order["lines"]
    ]
    where = f"To {order['address']}" if order["fulfilment"] == "delivery" else "To be collected"
    back = [f"{money(each['amount'])} {_refunded(each)}: {each['reason']}" for each in order["refunds"]]
    return [
        h.h2["What you ordered"],
        table(["What", "Price"], lines, "", "What you ordered"),
        h.p[f"Together {money(order['total'])}. {where}, for {order['customer']['name']}."],
        back and h.ul[(h.li[each] for each in back)],
        h.p(".soft")["Order ", identity(order["id"])],
    ]


def _refunded(refund: Mapping[str, Any]) -> str:
    said = {"requested": "are being given back", "paid": "were given back", "failed": "could not be given back"}
    return said[refund["status"]]


def _timeline(order: Order) -> Node:
    return [
        h.h2["What has happened"],
        h.ol(".timeline", reversed=True)[
            (h.li[moment(entry["at"]), " ", entry["text"]] for entry in reversed(order["timeline"]))
        ],
    ]


@pages.page("/my-orders/{order}/cancel", *CANCELS)
async def cancelling(ask: Ask) -> Page:
    """Asks whether an order shall be cancelled."""
    order = await ask.found("orders", at("/orders/{order}", order=ask.path["order"]))
    if order is None:
        return _unknown(ask)
    back = at("/my-orders/{order}", order=order["id"])
    body = [
        h.p[f"{pieces(order['lines'])}, {money(order['total'])}: {WORDS[order['status']].lower()}."],
        h.form(method="post", action=f"{back}/cancel")[
            field("reason", "Why, if you want to say", ask.form.get("reason", ""), maxlength="500"),
            h.p(".acts")[
                h.button(".danger", type="submit")["Cancel the order"], " ", h.a(".act", href=back)["Keep it"]
            ],
        ],
    ]
    says = curl("customer", f"{ask.services.address('orders')}/orders/{order['id']}/cancel", {})
    return Page(f"Cancel order {call_number(order['id'])}?", body, (says,))


@pages.act("/my-orders/{order}/cancel", *CANCELS)
async def cancel(ask: Ask) -> str | Page:
    """Cancels an order, or says that it is too late."""
    this = {"order": ask.path["order"]}
    reason = ask.form.get("reason", "")
    try:
        await ask.act("POST", "orders", at("/orders/{order}/cancel", **this), {"reason": reason} if reason else None)
    except Refused as refused:
        return refused_with(await cancelling(ask), refused)
    return at("/my-orders/{order}", **this)


@pages.page("/my-orders/{order}/review", *REVIEWS)
async def reviewing(ask: Ask) -> Page:
    """Asks how an order was."""
    order = await ask.found("orders", at("/orders/{order}", order=ask.path["order"]))
    if order is None:
        return _unknown(ask)
    back, chosen = at("/my-orders/{order}", order=order["id"]), ask.form.get("stars", "")
    body = [
        h.p[pieces(order["lines"])],
        h.form(method="post", action=f"{back}/review")[
            h.fieldset(".stars")[h.legend["How was it?"], [_star(count, chosen) for count in range(1, 6)]],
            h.div(".field")[
                h.label(for_="text")["In words, if you like"],
                h.textarea("#text", name="text", maxlength="2000", rows="4")[ask.form.get("text", "")],
            ],
            h.button(".main", type="submit")["Send"],
        ],
    ]
    return Page(f"How was order {call_number(order['id'])}?", body, (_review_says(ask, order),))


def _star(count: int, chosen: str) -> Node:
    return h.label(".way")[
        h.input(type="radio", name="stars", value=str(count), checked=str(count) == chosen, required=True),
        h.span(aria_hidden="true")["★" * count],
        h.span(".hidden")[f"{count} of 5 stars"],
    ]


def _review_says(ask: Ask, order: Order) -> str:
    body = {"order": order["id"], "customer": order["customer"], "stars": 5}
    return curl("customer", f"{ask.services.address('reviews')}/reviews", body)


@pages.act("/my-orders/{order}/review", *REVIEWS)
async def review(ask: Ask) -> str | Page:
    """Sends what a customer says of an order."""
    order = await ask.get("orders", at("/orders/{order}", order=ask.path["order"]))
    said = {"stars": whole(ask.form["stars"])} if ask.form.get("stars") else {}
    text = ask.form.get("text", "").replace("\r\n", "\n")
    customer = {each: order["customer"][each] for each in ("id", "name", "email")}
    body = {"order": order["id"], "customer": customer, **said, **({"text": text} if text else {})}
    try:
        await ask.act("POST", "reviews", "/reviews", body)
    except Refused as refused:
        return refused_with(await reviewing(ask), refused)
    return at("/my-orders/{order}", order=order["id"])
