"""Decides what becomes of the menu: an item as data, and what its staff may do to it."""

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision
from services.orders.events import MenuItemChanged, MenuItemState, Money


class MenuItem(msgspec.Struct, frozen=True):
    """Describes what can be ordered, at which price, and whether it has to be baked.

    A hidden item is shown to nobody but the staff, one that is sold out is shown as such; neither can be ordered. One
    that is out of stock is shown as such too, but inventory decides about its orders: what is shown is a moment old.
    Orders wait for what is back-orderable. A retired item is kept for its name in old orders; the menu has it no more.
    """

    item: str
    name: str
    unit_price: Money
    baked: bool
    description: str | None = None
    category: str | None = None
    hidden: bool = False
    sold_out: bool = False
    back_orderable: bool = False
    out_of_stock: bool = False
    retired: bool = False

    @property
    def picture(self) -> str:
        """Return the path at which the item's picture is served."""
        return f"/menu/{self.item}/picture"

    @property
    def objection(self) -> str | None:
        """Say why nobody can order the item; None: it can be ordered."""
        if self.hidden or self.retired:
            return NOT_ON_THE_MENU
        return SOLD_OUT if self.sold_out else None


NOT_ON_THE_MENU = "is not on the menu"
SOLD_OUT = "is sold out"


def add(item: MenuItem, by: str) -> Decision[MenuItem]:
    """Put an item on the menu, a new one or one that was retired."""
    return Decision(item, (MenuItemChanged(item=item.item, after=_told(item), by=by),))


def change(before: MenuItem, after: MenuItem, by: str) -> Decision[MenuItem]:
    """Change an item; one that stays as it is says nothing."""
    if after == before:
        return Decision(before)
    told = MenuItemChanged(item=after.item, before=_told(before), after=_told(after), by=by)
    return Decision(after, (told,))


def retire(before: MenuItem, by: str) -> Decision[MenuItem]:
    """Take an item off the menu for good; its name may be added again."""
    return change(before, replace(before, retired=True), by)


def _told(item: MenuItem) -> MenuItemState:
    return MenuItemState(
        name=item.name,
        unit_price=item.unit_price,
        baked=item.baked,
        description=item.description,
        category=item.category,
        hidden=item.hidden,
        sold_out=item.sold_out,
        back_orderable=item.back_orderable,
        retired=item.retired,
    )
