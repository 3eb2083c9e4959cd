"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import first, instants, journey, mending, operations, orders
from services.console.routing import Pages

ALL = Pages()
for each in (first.pages, operations.pages, orders.pages, journey.pages, instants.pages, mending.pages):
    ALL.include(each)
