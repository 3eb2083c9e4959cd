"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import (
    cart,
    courier,
    events,
    first,
    instants,
    journey,
    kitchen,
    mending,
    my_orders,
    operations,
    orders,
    searching,
    shop,
    stock,
    wall,
)
from services.console.routing import Pages

ALL = Pages()
for each in (
    first.pages,
    shop.pages,
    cart.pages,
    my_orders.pages,
    kitchen.pages,
    courier.pages,
    stock.pages,
    wall.pages,
    operations.pages,
    orders.pages,
    journey.pages,
    instants.pages,
    mending.pages,
    events.pages,
    searching.pages,
):
    ALL.include(each)
