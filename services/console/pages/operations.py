"""Shows operators the shop: whether anything is lost, where orders stand, what waits, and what has changed."""

import asyncio
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console import assets, elements
from services.console.asking import Ask, Refused, at
from services.console.elements import WAITS, WRONG, address, figure, identity, mark, moment, row, table
from services.console.losses import LEDGER, Backlogs, by_service, parked, verdict
from services.console.masked import masked
from services.console.pages.sheets import balance_sheet, count
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page
from services.console.throughput import Mark, chart
from services.console.wording import when

PATH, TITLE = "/operations", "Is anything lost?"
PATIENCE = 0.12
"""Seconds for which the first look at the page waits for an answer; what takes longer follows once it is there."""
MOST_ALERTS = 20
MOST_STUCK = 10
pages = Pages()
pages.section(PATH, TITLE, "Operations", "ledger.read")


@pages.page(PATH, "ledger.read")
async def show(ask: Ask) -> Page:
    """Shows the shop as it is now, and keeps that fresh."""
    shown = elements.live(f"/live{PATH}", await _shop(ask, PATIENCE))
    scripts = (
        h.script(src=assets.url("uPlot.iife.min.js"), defer=True),
        h.script(src=assets.url("chart.js"), type="module"),
    )
    ledger = ask.services.address(LEDGER)
    asked = (elements.curl("operator", f"{ledger}{path}") for path in ("/funnel", "/throughput", "/changes"))
    return Page(TITLE, [masking_note(ask), shown, scripts], ("./sliceline status", "./sliceline balance", *asked))


@pages.part(PATH, "ledger.read")
async def shop(ask: Ask) -> Node:
    """Tells how the shop is."""
    return await _shop(ask, None)


async def _shop(ask: Ask, patience: float | None) -> Node:
    """Ask all services at the same time; what does not come in time is waited for by whoever looks next."""
    sheet, funnel, throughput, told, alerts, waiting = await asyncio.gather(
        _within(patience, _known(ask, LEDGER, "/balance", last=True)),
        _within(patience, _known(ask, LEDGER, "/funnel", last=True)),
        _within(patience, _known(ask, LEDGER, "/throughput", last=True)),
        _within(patience, _known(ask, LEDGER, "/changes")),
        _within(patience, _known(ask, "alerts", "/alerts", active=True, limit=MOST_ALERTS)),
        _within(patience, _known(ask, LEDGER, "/backlogs", last=True)),
    )
    is_whole = LATE not in (sheet, funnel, waiting)
    changes = told if told is LATE or told is None else _seen(ask, told)
    backlogs = by_service(_or_none(waiting))
    said = verdict(_or_none(sheet), backlogs, _or_none(funnel)) if is_whole else (WAITS, "That is being looked at …")
    return [
        h.div(f".notice.large.{said[0]}", role="status")[
            h.span(aria_hidden="true")[elements.SIGNS[said[0]]], " ", said[1]
        ],
        _needs(ask, backlogs),
        h.section(".panel")[
            h.h2["What becomes of orders"],
            _told(throughput, lambda found: chart(found, _marks(_or_none(changes)))),
        ],
        h.div(".columns")[
            h.section[h.h2["Where orders stand"], _told(funnel, _funnel)],
            h.section[h.h2["What waits"], _told(waiting, lambda _: _waits(backlogs))],
        ],
        _told(funnel, lambda known: _stuck(ask, known), quiet=True),
        h.h2["The balance sheet"],
        _told(sheet, lambda known: balance_sheet(ask, known)),
        h.div(".columns")[
            h.section[h.h2["Stock alerts"], _told(alerts, alerted)],
            h.section[h.h2["What has changed"], _told(changes, _changes)],
        ],
    ]


LATE: Any = object()
"""Stands for an answer that is still to come."""


async def _within(patience: float | None, answer: Any) -> Any:
    try:
        async with asyncio.timeout(patience):
            return await answer
    except TimeoutError:
        return LATE


async def _known(ask: Ask, service: str, path: str, **query: Any) -> Any | None:
    """Return what a service answers; None where it does not, or not to whoever looks."""
    try:
        return await ask.get(service, path, **query)
    except Refused:
        return None


def _or_none(answer: Any) -> Any | None:
    return None if answer is LATE else answer


def _told(answer: Any, said: Any, *, quiet: bool = False) -> Node:
    """Show an answer, or that there is none."""
    if answer is LATE or answer is None:
        text = "That is being counted …" if answer is LATE else "That is not known: who would know it does not answer."
        return None if quiet else h.div(".empty")[text]
    shown: Node = said(answer)
    return shown


def _needs(ask: Ask, backlogs: Backlogs) -> Node:
    """List what does not go on without somebody, in the words of the services themselves."""
    needs = ((name, said) for name, backlog in backlogs.items() if backlog for said in backlog["needs"])
    found = [(name, masked(ask, {"text": said})["text"]) for name, said in needs]
    if not found:
        return None
    return h.section(".panel")[
        h.h2["This needs somebody"],
        h.ul(".needs")[
            (h.li[h.a(href=at("/consumers/{service}", service=name))[name], ": ", said] for name, said in found)
        ],
        h.p[h.a(".act", href="/dead-letters")["To the dead letters"], " ", h.a(".act", href="/jobs")["To the jobs"]],
    ]


def _funnel(funnel: Mapping[str, Any]) -> Node:
    most = max((each["orders"] for each in funnel["statuses"]), default=0) or 1
    rows = [
        row(
            h.a(href=address("/orders", {"status": each["status"]}))[mark(each["status"])],
            figure(each["orders"]),
            h.meter(min="0", max=str(most), value=str(each["orders"]), aria_hidden="true"),
            _oldest(each["oldest"]),
            to=address("/orders", {"status": each["status"]}),
        )
        for each in funnel["statuses"]
        if each["orders"]
    ]
    empty = ["No order was placed within a day. ", h.code["./sliceline order margherita:2"], " places one."]
    return [
        table(("status", figure("orders"), "", "the oldest"), rows, empty, "How many orders stand where"),
        h.p(".more")[f"{funnel['came']:,} were placed within a day."] if rows else None,
    ]


def _oldest(oldest: Mapping[str, Any] | None) -> Node:
    if oldest is None:
        return "–"
    return [
        identity(oldest["order"], at("/orders/{order}", order=oldest["order"]), short=8),
        " ",
        moment(oldest["placed_at"]),
    ]


def _stuck(ask: Ask, funnel: Mapping[str, Any]) -> Node:
    """List the orders that have been without progress for longest, with why, and what mends it."""
    if not funnel["stuck_orders"]:
        return None
    rows = [
        row(
            identity(each["order"], at("/orders/{order}", order=each["order"]), short=8),
            mark(each["status"]),
            moment(each["since"]),
            _broken(masked(ask, each)["broken"]),
            to=at("/orders/{order}", order=each["order"]),
        )
        for each in funnel["stuck"][:MOST_STUCK]
    ]
    return [
        h.h2["Orders that do not get on"],
        table(("order", "stands at", "since", "why"), rows, "", "Orders without progress"),
        h.p(".more")[f"The first {len(rows)} of {funnel['stuck_orders']:,}. ", h.a(href="/orders?stuck=only")["All"]],
    ]


def _broken(broken: Mapping[str, Any] | None) -> Node:
    if broken is None:
        return "Nothing is in the way any more."
    return [broken["text"], broken["command"] and [" ", h.code[broken["command"]]]]


def _waits(backlogs: Backlogs) -> Node:
    """Show what waits where something does; that it does nowhere else is said."""
    busy = {name: backlog for name, backlog in backlogs.items() if backlog is None or _is_busy(backlog)}
    empty = "Nothing waits: events that are not published, parked ones and jobs would stand here."
    return [
        _waiting_in(busy, empty, "What waits"),
        h.details[
            h.summary[f"All {len(backlogs)} services"],
            _waiting_in(backlogs, "No service is known.", "What waits in each service"),
        ],
    ]


def _waiting_in(backlogs: Backlogs, empty: str, caption: str) -> Node:
    heads = ("service", *map(figure, ("outbox", "parked", "held", "due", "failing", "given up", "paused")))
    return table(heads, (_waiting(name, backlog) for name, backlog in backlogs.items()), empty, caption)


def _is_busy(backlog: Mapping[str, Any]) -> bool:
    jobs = any(each[what] for each in backlog["jobs"] for what in ("due", "failing", "given_up"))
    outbox = backlog["outbox"]["waiting"] or backlog["outbox"]["refused"]
    return bool(jobs or outbox or backlog["parked"]["events"] or backlog["pauses"] or backlog["needs"])


def _waiting(name: str, backlog: Mapping[str, Any] | None) -> Node:
    to = at("/consumers/{service}", service=name)
    if backlog is None:
        return row(h.a(href=to)[name], mark("does not answer", WRONG), *[""] * 6, to=to)
    letters, held = parked(backlog)
    jobs = backlog["jobs"]
    due, failing, given_up = (sum(each[what] for each in jobs) for what in ("due", "failing", "given_up"))
    return row(
        h.a(href=to)[name],
        count(backlog["outbox"]["waiting"] + backlog["outbox"]["refused"], is_wrong=backlog["outbox"]["refused"] > 0),
        count(letters, is_wrong=True),
        count(held, is_wrong=True),
        count(due),
        count(failing, is_wrong=True),
        count(given_up, is_wrong=True),
        count(len(backlog["pauses"]), is_wrong=True),
        to=to,
    )


def alerted(alerts: Mapping[str, Any]) -> Node:
    """Show which SKUs are low, out or over."""
    rows = [
        row(
            h.a(href=at("/stock/{sku}", sku=each["sku"]))[each["sku"]],
            mark(each["kind"], WAITS if each["kind"] == "over" else WRONG),
            figure(each["available"]),
            moment(each["raised_at"]),
        )
        for each in alerts["items"]
    ]
    empty = "No SKU is low, out or over: an alert would stand here from the moment stock crosses its line."
    more = h.p(".more")[f"The first {len(rows)}; ", h.a(href="/stock")["all stock"]] if alerts["next"] else None
    return [table(("SKU", "is", figure("available"), "raised"), rows, empty, "Stock alerts that are active"), more]


def _seen(ask: Ask, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return changes as somebody may see them: the path of an act may name a customer."""
    return {**changes, "items": [{**each, "path": _path(ask, each)} for each in changes["items"]]}


def _path(ask: Ask, change: Mapping[str, Any]) -> str | None:
    """Return a path with what is personal masked: an act is called by the names of its parts, POST /carts/{cart}."""
    path: str | None = change["path"]
    if path is None:
        return None
    parts = zip(change["text"].split("/"), path.split("/"), strict=False)
    named = {name.strip("{}"): part for name, part in parts if name.startswith("{")}
    shown: str = masked(ask, {"data": named, "text": path})["text"]
    return shown


def _changes(changes: Mapping[str, Any]) -> Node:
    """List who changed what, and what the shop told of itself."""
    rows = [
        row(
            moment(each["at"]),
            each["service"],
            [
                h.a(href=at("/events/{event}", event=each["event"]))[_did(each)] if each["event"] else _did(each),
                each["outcome"] and f" ({each['outcome']})",
            ],
            each["by"] or "–",
        )
        for each in changes["items"]
    ]
    empty = [
        "Nobody has changed anything in the last quarter of an hour, no service was started, and no contract was ",
        "released. What staff and operators do would stand here: ",
        h.code["./sliceline pause kitchen --reason …"],
    ]
    span = "of the last quarter of an hour"
    more = f"The newest {len(rows)} {span}; there are more." if changes["is_cut"] else f"All {len(rows)} {span}."
    return [table(("when", "where", "what", "by"), rows, empty, "What has changed"), rows and h.p(".more")[more]]


def _marks(changes: Mapping[str, Any] | None) -> list[Mark]:
    """Return what the chart marks: when something was changed, where, and what."""
    items = changes["items"] if changes else ()
    return [Mark(when(each["at"]), f"{each['service']}: {_words(each)}") for each in items]


def _did(change: Mapping[str, Any]) -> Node:
    return h.code[_words(change)] if change["path"] else _words(change)


def _words(change: Mapping[str, Any]) -> str:
    """Say what was done: with what it was done to, where it was an act of somebody."""
    return f"{change['text'].partition(' ')[0]} {change['path']}" if change["path"] else str(change["text"])
