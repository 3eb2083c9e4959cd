"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import (
    audit,
    cart,
    consumers,
    courier,
    dead_letters,
    discarded,
    first,
    jobs,
    kitchen,
    letter,
    letter_acts,
    my_orders,
    redrives,
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
    discarded.pages,
    dead_letters.pages,
    letter_acts.pages,
    letter.pages,
    redrives.pages,
    consumers.pages,
    jobs.pages,
    audit.pages,
):
    ALL.include(each)
