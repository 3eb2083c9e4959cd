"""Puts the pages together, in the order in which their list names them."""

from services.console.pages import cart, courier, first, kitchen, my_orders, shop, stock, wall
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
):
    ALL.include(each)
