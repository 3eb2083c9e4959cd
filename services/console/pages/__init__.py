"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import first, operations, orders
from services.console.routing import Pages

ALL = Pages()
for each in (first.pages, operations.pages, orders.pages):
    ALL.include(each)
