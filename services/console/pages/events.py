"""Shows one event: what it told in a sentence, who has read it, and the record that it came in."""

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console import elements
from services.console.asking import Ask, Refused, at
from services.console.elements import address, curl, identity, notice, row, table
from services.console.masked import PLAIN, masked
from services.console.pages import steps
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page
from services.console.wording import service_of, short

PATH = "/events/{event}"
LEDGER = "ledger"
SEVERAL = 409

pages = Pages()


@pages.page(PATH, "ledger.read")
async def show(ask: Ask) -> Page:
    """Shows an event."""
    event, source = ask.path["event"], ask.query.get("source", "")
    path = at(PATH, event=event)
    try:
        found, step = await asyncio.gather(
            ask.found(LEDGER, path, source=source), ask.found(LEDGER, f"{path}/step", source=source)
        )
    except Refused as refused:
        if refused.status != SEVERAL:
            raise
        return Page("Several events", _which(path, refused), status=SEVERAL)
    if found is None or step is None:
        body = h.div(".empty")[
            f"No event {event} is kept: its id may be mistyped, it may be on its way, or its day was dropped."
        ]
        return Page("There is no such event", [body, _search(event)], status=404)
    asked = ask.services.address(LEDGER) + path
    says = (curl("operator", asked), curl("operator", f"{asked}/step"))
    told = _event(masked(ask, found), masked(ask, step), is_plain=ask.may(PLAIN))
    return Page(short(found["type"]), [masking_note(ask), told], says)


def record(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Read the headers of a record; what is no text is shown as bytes."""
    return [(each["name"], _text(each["value_base64"])) for each in raw["headers"]]


def trace_of(raw: Mapping[str, Any]) -> str | None:
    """Return the id of the trace that an event belongs to (W3C Trace Context), None where it belongs to none."""
    parts = dict(record(raw)).get("ce_traceparent", "").split("-")
    return parts[1] if len(parts) == len(("version", "trace", "span", "flags")) else None


def _event(found: Mapping[str, Any], step: Mapping[str, Any], *, is_plain: bool) -> Node:
    trace = trace_of(found["raw"])
    return [
        h.p(".notice.large.over")[step["sentence"]],
        _order(found),
        steps.whole(step),
        h.h2["Where it is from"],
        elements.numbers(
            ("service", service_of(found["source"])),
            ("topic", h.a(href=at("/topics/{topic}", topic=found["topic"]))[found["topic"]]),
            ("partition", f"{found['partition']}"),
            ("offset", f"{found['offset']:,}"),
            ("sequence", f"{found['sequence']:,}"),
            ("occurrence", identity(found["occurrenceid"], short=12)),
            ("correlation", _searched(found["correlationid"])),
            ("trace", _searched(trace) if trace else "–"),
        ),
        h.h2["The record"],
        table(
            ("header", "value"),
            (row(h.code[name], h.code[value]) for name, value in record(found["raw"])),
            "It has no headers.",
            "The headers of the record",
        ),
        h.details[
            h.summary["Its value, byte for byte" if is_plain else "Its value"],
            h.pre(tabindex="0")[_text(found["raw"]["value_base64"])],
        ],
    ]


def _order(found: Mapping[str, Any]) -> Node:
    data = found["data"]
    order = data.get("order") if isinstance(data, dict) else None
    if not isinstance(order, str):
        return None
    return h.p[h.a(".act", href=at("/orders/{order}", order=order))["The journey of its order"]]


def _which(path: str, refused: Refused) -> Node:
    sources = refused.detail.removeprefix("Say which source: ").removesuffix(".").split(", ")
    return [
        notice("Events of several sources have this id."),
        h.ul[(h.li[h.a(href=address(path, {"source": each}))[each]] for each in sources)],
    ]


def _search(text: str) -> Node:
    return h.p[h.a(href=address("/search", {"q": text}))["Search for it as another id"]]


def _searched(text: str) -> Node:
    return identity(text, address("/search", {"q": text}), short=12)


def _text(encoded: str | None) -> str:
    return "–" if encoded is None else b64decode(encoded).decode(errors="backslashreplace")
