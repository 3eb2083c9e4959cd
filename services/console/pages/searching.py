"""Leads from an id to its page: that of an order, an event, a trace, a correlation, or whatever events are about."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import htpy as h
from htpy import Node

from services.console.asking import Ask, Refused, at
from services.console.elements import curl, identity, moment, notice, row, table
from services.console.masked import masked
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import SEARCHES, Page
from services.console.wording import is_id, service_of, short

PATH = "/search"
LEDGER, ORDERS = "ledger", "orders"
MOST = 100
LONGEST = 200
TRACE = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")

pages = Pages()


@pages.page(PATH, *SEARCHES)
async def show(ask: Ask) -> Page | str:
    """Leads to what an id names; where it names several things, shows them."""
    typed = ask.query.get("q", "").strip()
    q = typed.lower() if is_id(typed.lower()) else typed
    if not q or len(q) > LONGEST:
        return Page("Search", _what(), ("./sliceline why ORDER mail",))
    if trace := TRACE.fullmatch(q.lower()):
        return await _trace(ask, trace[1])
    order, event, about, story = await asyncio.gather(
        _found(ask, ORDERS, at("/orders/{order}", order=q)),
        _event(ask, q),
        _events(ask, key=q),
        _events(ask, correlationid=q),
    )
    if to := way(q, order is not None, event is not None, about["items"], story["items"]):
        return to
    items = {(each["source"], each["id"]): each for each in (*about["items"], *story["items"])}
    is_all = not (about["next"] or story["next"])
    said = _results(ask, list(items.values()), is_all=is_all) if items else _nothing(q)
    says = tuple(_events_by(ask, name, q) for name in ("correlationid", "key"))
    return Page(f"Search: {q}", said, says, status=200 if items else 404)


def way(
    q: str, is_order: bool, is_event: bool, about: Sequence[Mapping[str, Any]], story: Sequence[Mapping[str, Any]]
) -> str | None:
    """Return the one page that an id leads to; None where there is none, or several are meant."""
    if is_order or any(order_of(each) == q for each in about):
        return at("/orders/{order}", order=q)
    if is_event and not about:
        return at("/events/{event}", event=q)
    orders = {order for each in story if (order := order_of(each))}
    if story and not about and len(orders) == 1:
        return at("/orders/{order}", order=orders.pop())
    return None


def order_of(event: Mapping[str, Any]) -> str | None:
    """Return the order that an event is about; None where it names none."""
    data = event["data"]
    order = data.get("order") if isinstance(data, dict) else None
    return order if isinstance(order, str) else None


async def _trace(ask: Ask, trace: str) -> Page | str:
    """Lead to the order of a trace, or show its events."""
    found = await ask.get(LEDGER, "/events", traceid=trace, limit=MOST)
    items = found["items"]
    orders = {order for each in items if (order := order_of(each))}
    if len(orders) == 1:
        return at("/orders/{order}", order=orders.pop())
    said = _results(ask, items, is_all=found["next"] is None) if items else _nothing(trace)
    return Page(f"Trace {trace}", said, (_events_by(ask, "traceid", trace),), 200 if items else 404)


async def _event(ask: Ask, q: str) -> Any | None:
    """Return an event; one whose id several sources have given is one as well: its page tells them apart."""
    try:
        return await ask.found(LEDGER, at("/events/{event}", event=q))
    except Refused as refused:
        return {} if refused.status == 409 else None


async def _events(ask: Ask, **query: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = await ask.get(LEDGER, "/events", limit=MOST, **query)
    except Refused:
        return {"items": [], "next": None}
    return found


async def _found(ask: Ask, service: str, path: str) -> Any | None:
    try:
        return await ask.found(service, path)
    except Refused:
        return None


def _results(ask: Ask, items: Iterable[Mapping[str, Any]], *, is_all: bool) -> Node:
    found = sorted(items, key=lambda each: (each["time"], each["sequence"]))
    rows = [
        row(
            identity(each["id"], at("/events/{event}", event=each["id"]), short=8),
            service_of(each["source"]),
            short(each["type"]),
            identity(order, at("/orders/{order}", order=order), short=8)
            if (order := order_of(each))
            else masked(ask, each)["key"],
            moment(each["time"]),
            to=at("/events/{event}", event=each["id"]),
        )
        for each in found
    ]
    return [
        masking_note(ask),
        table(("event", "from", "type", "about", "told"), rows, "", "What was found"),
        h.p(".more")[f"All {len(rows)}." if is_all else f"{len(rows)}, and there are more."],
    ]


def _nothing(q: str) -> Node:
    return [notice(f"Nothing is known by {q}. What was told a moment ago may be on its way to the archive."), _what()]


def _what() -> Node:
    said = (
        ("An order's id", "leads to its journey."),
        ("An event's id", "leads to the event, its record, and who has read it."),
        ("A correlation id", "leads to the order that one command has set off, or to all it has."),
        ("A trace id", "of 32 hexadecimal digits, or a whole traceparent: to the order, or all events of the trace."),
        ("A key", "like a SKU or a cart's id, lists the events about it."),
    )
    return h.div(".empty")[
        h.p["What can be searched, whole as it is copied (press / from anywhere):"],
        h.ul[(h.li[h.b[name], f" {text}"] for name, text in said)],
    ]


def _events_by(ask: Ask, name: str, value: str) -> str:
    """Write the command that lists the events that have this."""
    return curl("operator", f"{ask.services.address(LEDGER)}/events?{name}={quote(value, safe='')}")
