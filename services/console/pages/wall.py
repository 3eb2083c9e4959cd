"""Shows the shop on a wall, live and without a name: what is under way, what is done, and how to order."""

from collections.abc import Mapping
from typing import Any

import htpy as h
import segno
from htpy import Node
from markupsafe import Markup

from services.console.asking import Ask
from services.console.buying import call_number
from services.console.elements import moment
from services.console.routing import Pages
from services.console.shell import Page
from services.console.steps import WORDS

TICKETS, DELIVERIES, ORDERS = "tickets.read", "deliveries.read", "orders.read"
pages = Pages()
pages.section("/wall", "Wall", "Work", TICKETS, DELIVERIES, ORDERS)
MOST = 40
FINISHED = 8
IN_THE_KITCHEN = {"waiting": "confirmed", "prepared": "preparing"}
"""How the steps are called that kitchen knows by other names."""
SAID = {"baked": "Ready to leave", "completed": "Done"}
"""What reads otherwise on a wall than to the one customer whose order it is."""


@pages.page("/wall", TICKETS, DELIVERIES, ORDERS, live=True)
async def wall(ask: Ask) -> Page:
    """Shows orders by the numbers they are called by, as far as whoever hung it up may see them."""
    columns = [
        await _kitchen(ask) if ask.may(TICKETS) else None,
        await _leaving(ask) if ask.may(DELIVERIES) else None,
        await _finished(ask) if ask.may(ORDERS) else None,
    ]
    body = h.div(".wall")[h.div(".boards")[columns], _code(f"{ask.home}/shop")]
    return Page("Sliceline", body, alone=True)


async def _kitchen(ask: Ask) -> Node:
    found = await ask.get("kitchen", "/tickets", status="open", limit=MOST)
    shown = [(each["order"], IN_THE_KITCHEN[each["status"]], each["created_at"]) for each in found["items"]]
    return _column("In the kitchen", shown, more=bool(found["next"]))


async def _leaving(ask: Ask) -> Node:
    found = await ask.get("delivery", "/deliveries", status="open", limit=MOST)
    shown = [(each["order"], _leaves(each), each["created_at"]) for each in found["items"]]
    return _column("Ready and on the way", shown, more=bool(found["next"]))


def _leaves(delivery: Mapping[str, Any]) -> str:
    if delivery["status"] == "dispatched":
        return "dispatched"
    return "ready" if delivery["fulfilment"] == "collection" else "baked"


async def _finished(ask: Ask) -> Node:
    found = await ask.get("orders", "/orders", status="completed", limit=FINISHED)
    shown = [(each["id"], "completed", each["since"]) for each in found["items"]]
    return _column("Just finished", sorted(shown, key=lambda each: each[2], reverse=True), more=False)


def _column(title: str, shown: list[tuple[str, str, str]], *, more: bool) -> Node:
    return h.section(".board")[
        h.h2[title],
        h.ul(".called")[
            (
                h.li(class_=status)[
                    h.strong[call_number(order)], h.span[SAID.get(status, WORDS[status])], h.small[moment(since)]
                ]
                for order, status, since in shown
            )
        ]
        if shown
        else h.p(".empty")["Nothing at the moment."],
        more and h.p(".soft")[f"The first {len(shown)} of more."],
    ]


def _code(url: str) -> Node:
    """Draw the code that leads to the menu, dark on light whatever the page is: cameras want it so."""
    drawn = segno.make(url, micro=False).svg_inline(scale=6, border=3, light="#fff", omitsize=True)
    return h.aside(".code")[
        h.div(role="img", aria_label=f"A code that leads to {url}")[Markup(drawn)],  # noqa: S704  segno's own drawing
        h.p[h.strong["Order here"]],
        h.p[h.a(href=url)[url]],
    ]
