"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import events, first, instants, journey, mending, operations, orders, searching
from services.console.routing import Pages

ALL = Pages()
for each in (
    first.pages,
    operations.pages,
    orders.pages,
    journey.pages,
    instants.pages,
    mending.pages,
    events.pages,
    searching.pages,
):
    ALL.include(each)
