"""Lists orders: those that are stuck first, then the newest; what has come since is told, and rows do not jump."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import htpy as h
from htpy import Node

from services.console import elements
from services.console.asking import Ask, Refused, at
from services.console.elements import WRONG, address, figure, identity, mark, moment, money, row, table
from services.console.masked import PLAIN, masked
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page

PATH = "/orders"
ORDERS = "orders"
SHOWN, SHOWN_STUCK = 50, 10
STATUSES = (
    "placed",
    "backordered",
    "confirmed",
    "preparing",
    "baked",
    "ready",
    "dispatched",
    "cancelling",
    "completed",
    "rejected",
    "cancelled",
)
HEADS = ("order", "stands at", "since", "next", "customer", "what", figure("total"), "placed")
_MINUTE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")

pages = Pages()
pages.section(PATH, "Orders", "Operations", "orders.read")


@pages.page(PATH, "orders.read")
async def show(ask: Ask) -> Page:
    """Shows a page of orders by the filters in the address."""
    filters = filters_of(ask.query)
    if _ends_before_it_begins(filters):
        wrong = {"until": "must be after the moment since which orders are asked for"}
        return Page("Orders", _form(ask, wrong), status=422)
    try:
        body = await (_only_stuck if ask.query.get("stuck") else _newest)(ask, filters)
    except Refused as refused:
        if refused.status != 422:
            raise
        return Page("Orders", [_form(ask, refused.errors), elements.notice(_objection(refused), WRONG)], status=422)
    asked = address("/orders", {**filters, "stuck": "true" if ask.query.get("stuck") else None})
    return Page(
        "Orders",
        [masking_note(ask), _form(ask), body],
        (elements.curl("operator", ask.services.address(ORDERS) + asked),),
    )


@pages.part("/orders-since/{order}", "orders.read")
async def news(ask: Ask) -> Node:
    """Tells how many orders have come since the newest that is shown, where they are looked for by the same filters."""
    filters = filters_of(ask.query)
    since = await ask.get(ORDERS, "/orders/count", newer_than=ask.path["order"], **filters)
    return _bar(since, filters)


def filters_of(query: Mapping[str, str]) -> dict[str, str]:
    """Read the filters of an address as the service takes them. A minute that a field gives is one of UTC."""
    said = {name: query.get(name, "").strip() for name in ("status", "customer", "since", "until")}
    return {name: f"{value}Z" if _MINUTE.fullmatch(value) else value for name, value in said.items() if value}


def _ends_before_it_begins(filters: Mapping[str, str]) -> bool:
    """Tell whether no moment can be within these; what is no moment the service refuses."""
    try:
        return datetime.fromisoformat(filters["since"]) >= datetime.fromisoformat(filters["until"])
    except (KeyError, ValueError, TypeError):
        return False


async def _newest(ask: Ask, filters: Mapping[str, str]) -> Node:
    after = ask.query.get("after", "")
    newest, count, stuck, stuck_count = await asyncio.gather(
        ask.get(ORDERS, "/orders", limit=SHOWN, after=after, **filters),
        ask.get(ORDERS, "/orders/count", **filters),
        ask.get(ORDERS, "/orders", stuck=True, limit=SHOWN_STUCK, **filters),
        ask.get(ORDERS, "/orders/count", stuck=True, **filters),
    )
    query = _query(ask)
    rows = newest["items"]
    return [
        _late(ask, stuck["items"], stuck_count, query) if not after else None,
        h.h2["The newest"] if stuck["items"] and not after else None,
        _since(rows[0]["id"], filters) if rows and not after else None,
        table(HEADS, _rows(ask, rows), _empty(filters), "Orders, the newest first"),
        elements.more(len(rows), _whole(count), PATH, {**query, "after": after}, newest["next"]),
    ]


async def _only_stuck(ask: Ask, filters: Mapping[str, str]) -> Node:
    after = ask.query.get("after", "")
    stuck, count = await asyncio.gather(
        ask.get(ORDERS, "/orders", stuck=True, limit=SHOWN, after=after, **filters),
        ask.get(ORDERS, "/orders/count", stuck=True, **filters),
    )
    empty = "No order is stuck: one that stands where it stands for longer than expected would be here."
    query = {**_query(ask), "stuck": "only"}
    return [
        table(HEADS, _rows(ask, stuck["items"], late=True), empty, "Orders that are stuck, the longest first"),
        elements.more(len(stuck["items"]), _whole(count), PATH, {**query, "after": after}, stuck["next"]),
        h.p[h.a(href=address(PATH, _query(ask)))["All orders"]],
    ]


def _late(ask: Ask, stuck: list[Mapping[str, Any]], count: Mapping[str, Any], query: Mapping[str, str]) -> Node:
    if not stuck:
        return None
    return [
        h.h2[f"Stuck: {_whole(count)}"],
        table(HEADS, _rows(ask, stuck, late=True), "", "Orders that are stuck, the longest first"),
        h.p(".more")[
            f"The first {len(stuck)} of {_whole(count)}. ",
            h.a(href=address(PATH, {**query, "stuck": "only"}))["Only those that are stuck"],
        ],
    ]


def _since(newest: str, filters: Mapping[str, str]) -> Node:
    path = address(f"/live{at('/orders-since/{order}', order=newest)}", filters)
    return elements.live(path, None, name="news")


def _bar(since: Mapping[str, Any], filters: Mapping[str, str]) -> Node:
    if not since["count"]:
        return None
    said = f"{since['count']:,}{'' if since['exact'] else ' or more'} new"
    return h.p[
        h.a(".notice.waits.bar", href=address(PATH, filters))[h.span(aria_hidden="true")["↑ "], said, ". Show them"]
    ]


def _rows(ask: Ask, orders: Iterable[Mapping[str, Any]], *, late: bool = False) -> Iterable[Node]:
    for each in (seen(ask, order) for order in orders):
        to = at("/orders/{order}", order=each["id"])
        yield row(
            identity(each["id"], to, short=8),
            mark(each["status"]),
            moment(each["since"]),
            expected(each["expected"], late=late),
            _customer(ask, each["customer"]),
            wanted(each["lines"]),
            figure(money(each["total"])),
            moment(each["placed_at"]),
            to=to,
        )


def seen(ask: Ask, order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an order as somebody may see it: who placed it is masked, and why it ended, for people write that."""
    shown = masked(ask, {"data": order})["data"]
    return {**order, "customer": shown["customer"], "reason": shown["reason"]}


def _customer(ask: Ask, customer: Mapping[str, Any]) -> Node:
    name = customer["name"]
    return h.a(href=address(PATH, {"customer": customer["id"]}))[name] if ask.may(PLAIN) else name


def expected(step: Mapping[str, Any] | None, *, late: bool = False) -> Node:
    """Say what should come next to an order, and when: a moment that is over says how late it is."""
    if step is None:
        return h.span(".soft")["–"]
    return [mark(f"{step['step']} late", WRONG) if late else step["step"], " due ", moment(step["at"])]


def wanted(lines: Iterable[Mapping[str, Any]], most: int = 3) -> str:
    """Say what is ordered: 2 margherita, 1 cola and 3 more."""
    said = [f"{each['quantity']} {each['item']}" for each in lines]
    return elements.listed([*said[:most], f"{len(said) - most} more"] if len(said) > most else said)


def _form(ask: Ask, errors: Mapping[str, str] | None = None) -> Node:
    wrong = {name.rpartition(".")[2]: said for name, said in (errors or {}).items()}
    query = ask.query
    return h.form(".filters", action=PATH, role="search", aria_label="Filter orders")[
        elements.choice("status", "Status", {"": "any", **{each: each for each in STATUSES}}, query.get("status", "")),
        elements.field("customer", "Customer's id", query.get("customer", ""), error=wrong.get("customer")),
        _minute("since", "Placed since (UTC)", query, wrong),
        _minute("until", "Placed before (UTC)", query, wrong),
        elements.choice("stuck", "Which", {"": "all", "only": "only stuck"}, query.get("stuck", "")),
        h.button(type="submit")["Filter"],
        h.a(href=PATH)["Reset"] if _query(ask) or query.get("stuck") else None,
    ]


def _minute(name: str, label: str, query: Mapping[str, str], wrong: Mapping[str, str]) -> Node:
    """Make a field for a minute; what is said otherwise stands in it as it was said."""
    value = query.get(name, "").removesuffix("Z")
    kind = "datetime-local" if not value or _MINUTE.fullmatch(value) else "text"
    return elements.field(name, label, value, error=wrong.get(name), type=kind)


def _query(ask: Ask) -> dict[str, str]:
    return {name: ask.query[name] for name in ("status", "customer", "since", "until") if ask.query.get(name)}


def _whole(count: Mapping[str, Any]) -> str:
    return f"{count['count']:,}{'' if count['exact'] else ' or more'}"


def _empty(filters: Mapping[str, str]) -> Node:
    if filters:
        return ["No order is so. ", h.a(href=PATH)["All orders"]]
    return ["No order was placed yet. ", h.code["./sliceline order margherita:2"], " places one."]


def _objection(refused: Refused) -> str:
    said = "; ".join(f"{field}: {message}" for field, message in refused.errors.items())
    return said or refused.detail or refused.title
