"""Shows what an endpoint is or was owed, and each attempt; sends again what was given up, or gives it up for good."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from backbone.ids import new_id
from services.console.asking import Ask, Refused, at
from services.console.elements import (
    OVER,
    WAITS,
    WELL,
    WRONG,
    address,
    button,
    curl,
    identity,
    mark,
    moment,
    more,
    notice,
    numbers,
    row,
    table,
)
from services.console.forms import is_typed, typed
from services.console.masked import masked
from services.console.pages.rules import told
from services.console.pages.tailing import masking_note
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
KINDS = {"waiting": WAITS, "delivered": WELL, "parked": WRONG, "discarded": OVER}
GIVE_UP = "give it up"
MOST = 200
"""Attempts that the service tells of."""


@pages.page("/webhooks/{endpoint}/deliveries/{event}", "webhooks.read")
async def delivery(ask: Ask) -> Page:
    """Shows the delivery of one event, and what came of each attempt."""
    return await _page(ask)


@pages.act("/webhooks/{endpoint}/deliveries/{event}/redrive", "webhooks.write")
async def redrive(ask: Ask) -> "str | Page":
    """Sends an event that was given up anew."""
    return await _do(ask, "/redrive")


@pages.act("/webhooks/{endpoint}/deliveries/{event}/discard", "webhooks.write")
async def discard(ask: Ask) -> "str | Page":
    """Gives an event up for good, once that was typed."""
    if not is_typed(ask.form, GIVE_UP, ask.path["endpoint"]):
        return await _page(ask, "Nothing was given up: what was typed is not the endpoint's name.")
    return await _do(ask, "/discard")


def listed(ask: Ask, endpoint: str, owed: Mapping[str, Any]) -> Node:
    """List deliveries, by where they stand."""
    path, status = at("/webhooks/{endpoint}", endpoint=endpoint), ask.query.get("status", "")
    ways = [
        h.a(href=address(path, {"status": each}), aria_current="true" if each == status else None)[each or "all"]
        for each in ("", *KINDS)
    ]
    which = f" {status}" if status else ""
    return [
        masking_note(ask),
        h.p(".jumps")[ways],
        table(
            ("Event", "Type", "Key", "Standing", "Attempts", "Changed"),
            (_row(path, masked(ask, each)) for each in owed["items"]),
            f"It is owed nothing{which and ' that is'}{which}. What fits it comes here when it happens.",
            "Deliveries",
        ),
        owed["items"] and more(len(owed["items"]), None, path, ask.query, owed["next"]),
    ]


def _row(path: str, each: Mapping[str, Any]) -> Node:
    to = f"{path}{at('/deliveries/{event}', event=each['event'])}"
    return h.tr(id=f"delivery-{each['event']}", data_to=to)[
        h.td[identity(each["event"], to, 12)],
        h.td[each["type"].removeprefix("sliceline.")],
        h.td[identity(each["key"], short=12)],
        h.td[_standing(each)],
        h.td[f"{each['attempts']:,}"],
        h.td[moment(each["changed_at"])],
    ]


def _standing(each: Mapping[str, Any]) -> Node:
    again = [" tried ", moment(each["due"])] if each["status"] == "waiting" and each["attempts"] else None
    return [mark(each["status"], KINDS.get(each["status"])), again]


async def _do(ask: Ask, what: str) -> "str | Page":
    try:
        path = at("/endpoints/{endpoint}/deliveries/{event}", **ask.path) + what
        await ask.act("POST", "webhooks", path, key=ask.form.get("once"))
    except Refused as refused:
        return await _page(ask, told(refused), refused.status)
    return at("/webhooks/{endpoint}/deliveries/{event}", **ask.path)


async def _page(ask: Ask, wrong: str = "", status: int = 422) -> Page:
    path = at("/endpoints/{endpoint}/deliveries/{event}", **ask.path)
    found = await ask.get("webhooks", path)
    body = [
        masking_note(ask),
        wrong and notice(wrong, WRONG),
        numbers(
            ("Standing", _standing(found)),
            ("Attempts", f"{found['attempts']:,}"),
            ("First attempt", moment(found["first_attempt_at"])),
            ("Endpoint", h.a(href=at("/webhooks/{endpoint}", endpoint=ask.path["endpoint"]))[ask.path["endpoint"]]),
        ),
        h.p["Event ", identity(found["event"], at("/events/{event}", event=found["event"])), f", {found['type']}"],
        found["status"] == "parked" and ask.may("webhooks.write") and _acts(ask),
        h.h2["Attempts, the newest first"],
        table(
            ("When", "Took", "Answer", "What was said"),
            (_attempt(masked(ask, each)) for each in found["tries"]),
            "It was not tried yet.",
            "Attempts",
        ),
        found["tries"] and h.p(".more")[_how_many(len(found["tries"]))],
    ]
    api = ask.services.address("webhooks") + path
    says = (
        curl("reader", api),
        curl("operator", f"{api}/redrive", method="POST"),
    )
    return Page("A delivery", body, says, status if wrong else 200)


def _how_many(number: int) -> str:
    return f"The newest {number:,}." if number >= MOST else f"All {number:,}."


def _acts(ask: Ask) -> Node:
    path = at("/webhooks/{endpoint}/deliveries/{event}", **ask.path)
    return [
        h.p[
            button(f"{path}/redrive", "Send it again", kind="main", fields={"once": new_id()}),
            " From the beginning; what waited behind it follows.",
        ],
        h.details[
            h.summary["Give it up for good"],
            h.p["It is never sent. Where order matters, those that waited behind it are."],
            h.form(method="post", action=f"{path}/discard")[
                h.input(type="hidden", name="once", value=new_id()),
                typed(GIVE_UP, ask.path["endpoint"]),
                h.button(".danger", type="submit")["Give it up"],
            ],
        ],
    ]


def _attempt(each: Mapping[str, Any]) -> Node:
    answer = (
        mark(str(each["status"]), WELL if 200 <= each["status"] < 300 else WRONG)
        if each["status"]
        else mark("no answer", WRONG)
    )
    return row(moment(each["at"]), f"{each['took_ms']:,} ms", answer, h.code[each["said"]])
