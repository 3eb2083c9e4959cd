"""Shows couriers and the counter what is to leave, and to whom."""

from collections.abc import Iterable, Mapping
from typing import Any

import htpy as h
from htpy import Node

from services.console.answering import refused_with
from services.console.asking import Ask, Refused, at
from services.console.buying import call_number
from services.console.elements import button, curl, moment
from services.console.pages.kitchen import board
from services.console.routing import Pages
from services.console.shell import Page

SEES, PRESSES = ("deliveries.read", "deliveries.press"), ("deliveries.press",)
pages = Pages()
pages.section("/courier", "Courier", "Work", *SEES)
MOST = 100
BOARDS = (
    ("ready", "delivery", "dispatched", "To take along", "I have it"),
    ("dispatched", "delivery", "delivered", "On the way", "Handed over"),
    ("ready", "collection", "collected", "At the counter", "Collected"),
)
"""The columns: which deliveries each shows, which button each has, what it is called, and what the button says."""


@pages.page("/courier", *SEES, live=True)
async def courier(ask: Ask) -> Page:
    """Shows what is ready, what is on the way, and what waits at the counter, the oldest first."""
    found = {
        each: await ask.get("delivery", "/deliveries", status=each, limit=MOST) for each in ("ready", "dispatched")
    }
    boards = []
    for status, fulfilment, step, title, does in BOARDS:
        mine = (each for each in found[status]["items"] if each["fulfilment"] == fulfilment)
        boards.append(_board(ask, mine, step, title, does, more=bool(found[status]["next"])))
    url = ask.services.address("delivery")
    looked = curl("courier", f"{url}/deliveries?status=open")
    says = looked, curl("courier", f"{url}/deliveries/ORDER/dispatched", method="POST")
    return Page("Courier", h.div(".boards")[boards], says)


def _board(ask: Ask, deliveries: Iterable[Mapping[str, Any]], step: str, title: str, does: str, *, more: bool) -> Node:
    tickets = [_delivery(ask, each, step, does) for each in deliveries]
    return board(title, tickets, "Nothing. What is ready comes here by itself.", more=more)


def _delivery(ask: Ask, delivery: Mapping[str, Any], step: str, does: str) -> Node:
    number = call_number(delivery["order"])
    fields = {"order": delivery["order"], "step": step}
    return h.li(".ticket", id=f"delivery-{delivery['order']}")[
        h.p[h.strong[number], " ", moment(delivery["created_at"])],
        h.p(".to")[delivery["customer_name"], delivery["address"] and [h.br, delivery["address"]]],
        button("/courier", does, kind="main big", fields=fields, label=f"{does}: {number}")
        if ask.may(*PRESSES)
        else None,
    ]


@pages.act("/courier", *PRESSES)
async def press(ask: Ask) -> str | Page:
    """Presses a button for one delivery."""
    template, step = "/deliveries/{order}/{step}", ask.form.get("step", "")
    try:
        await ask.act("POST", "delivery", at(template, order=ask.form.get("order", ""), step=step))
    except Refused as refused:
        return refused_with(await courier(ask), refused)
    return "/courier"
