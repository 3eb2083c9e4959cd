"""Leads whoever comes to what is theirs: a customer to the menu, staff to their board, operators to the shop."""

import htpy as h
from htpy import Node

from services.console.asking import Ask
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
pages.section("/", "Start", "Sliceline")
WAYS = (
    ("/shop", "Order", "What there is, with pictures.", ("orders.place.own", "orders.place")),
    ("/my-orders", "My orders", "Where they are, and when they come.", ("orders.read.own",)),
    ("/kitchen", "Kitchen", "What is to be made.", ("tickets.press",)),
    ("/courier", "Courier", "What is to be taken along, and to whom.", ("deliveries.press",)),
    ("/stock", "Stock", "What there is too little of, and what was counted.", ("stock.write",)),
    ("/wall", "Wall", "The shop on a large screen.", ("tickets.read", "deliveries.read", "orders.read")),
)
"""Where one may go from here: the page, its name, what it is for, and for whom."""


@pages.page("/", open_to_all=True)
async def start(ask: Ask) -> Page:
    """Tells what there is."""
    if ask.session is None:
        body = [
            h.p["A pizza chain that loses nothing."],
            h.p(".acts")[h.a(".act.main", href="/shop")["Look at the menu"], h.a(".act", href="/login")["Log in"]],
        ]
        return Page("Sliceline", body, ("./sliceline browse",))
    ways = [_way(*way) for *way, scopes in WAYS if ask.may(*scopes)]
    return Page("Sliceline", [h.p[f"You are {ask.session.name}."], h.nav(".ways", aria_label="Where to go")[ways]])


def _way(path: str, name: str, about: str) -> Node:
    return h.a(".panel", href=path)[h.strong[name], h.span[about]]
