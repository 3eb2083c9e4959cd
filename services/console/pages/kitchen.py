"""Shows the kitchen what is to be made, with the two buttons beside the oven."""

from collections.abc import Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console.answering import refused_with
from services.console.asking import Ask, Refused, at
from services.console.buying import call_number
from services.console.elements import button, curl, moment
from services.console.routing import Pages
from services.console.shell import Page
from services.console.steps import pieces

SEES, PRESSES = ("tickets.read", "tickets.press"), ("tickets.press",)
pages = Pages()
pages.section("/kitchen", "Kitchen", "Work", *SEES)
MOST = 100
STEPS = {"prepared": ("waiting", "To make", "Into the oven"), "baked": ("prepared", "In the oven", "Out of the oven")}
"""What each button does: where a ticket stands before, what that is called here, and what the button says."""


@pages.page("/kitchen", *SEES, live=True)
async def kitchen(ask: Ask) -> Page:
    """Shows the tickets that wait and those that are in the oven, the oldest first."""
    boards = [await _board(ask, step, *said) for step, said in STEPS.items()]
    url = ask.services.address("kitchen")
    looked = curl("kitchen", f"{url}/tickets?status=open")
    says = looked, curl("kitchen", f"{url}/tickets/ORDER/prepared", method="POST")
    return Page("Kitchen", h.div(".boards")[boards], says)


async def _board(ask: Ask, step: str, status: str, title: str, does: str) -> Node:
    found = await ask.get("kitchen", "/tickets", status=status, limit=MOST)
    tickets = [_ticket(ask, each, step, does) for each in found["items"]]
    return board(title, tickets, "Nothing. What is ordered comes here by itself.", more=bool(found["next"]))


def board(title: str, tickets: list[Node], empty: str, *, more: bool) -> Node:
    """Make one column of a board, which says how much of it is shown."""
    count = f"the first {len(tickets)} of more" if more else f"{len(tickets)}"
    return h.section(".board")[
        h.h2[title, " ", h.small[count]],
        h.ul(".tickets")[tickets] if tickets else h.div(".empty")[empty],
    ]


def _ticket(ask: Ask, ticket: Mapping[str, Any], step: str, does: str) -> Node:
    number = call_number(ticket["order"])
    fields = {"order": ticket["order"], "step": step}
    return h.li(".ticket", id=f"ticket-{ticket['order']}")[
        h.p[h.strong[number], " ", moment(ticket["created_at"])],
        h.ul(".lines")[(h.li[pieces([line])] for line in ticket["lines"])],
        button("/kitchen", does, kind="main big", fields=fields, label=f"{does}: {number}")
        if ask.may(*PRESSES)
        else None,
    ]


@pages.act("/kitchen", *PRESSES)
async def press(ask: Ask) -> str | Page:
    """Presses a button for one ticket."""
    step = ask.form.get("step", "")
    template = "/tickets/{order}/{step}"
    try:
        await ask.act("POST", "kitchen", at(template, order=ask.form.get("order", ""), step=step))
    except Refused as refused:
        return refused_with(await kitchen(ask), refused)
    return "/kitchen"
