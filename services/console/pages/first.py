"""Leads whoever comes to what is theirs: a customer to the menu, staff to their board, operators to the shop."""

import htpy as h

from services.console.asking import Ask
from services.console.pages import operations
from services.console.routing import Pages
from services.console.shell import Page

pages = Pages()
pages.section("/", "Start", "Sliceline")


@pages.page("/", open_to_all=True)
async def start(ask: Ask) -> Page:
    """Tells what there is."""
    if ask.session is None:
        body = [h.p["A pizza chain that loses nothing."], h.p[h.a(".act", href="/login")["Log in"]]]
        return Page("Sliceline", body, ("./sliceline browse",))
    if ask.may("ledger.read"):
        return await operations.show(ask)
    return Page("Sliceline", h.p[f"You are {ask.session.name}."])
