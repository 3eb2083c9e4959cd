"""Decides what becomes of the menu: an item as data, and what its staff may do to it."""

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision
from services.orders.events import (
    MenuItemAdded,
    MenuItemChanged,
    MenuItemChangedV1,
    MenuItemRetired,
    MenuItemState,
    MenuItemStateV1,
    Money,
)


class MenuItem(msgspec.Struct, frozen=True):
    """Describes what can be ordered, at which price, and whether it has to be baked.

    A hidden item is left off the menu, but is no secret; one that is sold out is shown as such; neither can be ordered.
    One that is out of stock is shown as such too, but inventory decides about its orders: what is shown is a moment
    old. Orders wait for what is back-orderable. A retired item is kept for its name in old orders; the menu has it no
    more.
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
    told = MenuItemAdded(item=item.item, after=_state(item), by=by)
    return Decision(item, ((MenuItemChangedV1(item=item.item, after=_state_v1(item), by=by), told),))


def change(before: MenuItem, after: MenuItem, by: str) -> Decision[MenuItem]:
    """Change an item; one that stays as it is says nothing."""
    if after == before:
        return Decision(before)
    was, now = _state(before), _state(after)
    changed = tuple(sorted(name for name in was.__struct_fields__ if getattr(was, name) != getattr(now, name)))
    told = MenuItemChanged(item=after.item, changed=changed, before=was, after=now, by=by)
    return Decision(after, ((_changed_v1(before, after, by), told),))


def retire(before: MenuItem, by: str) -> Decision[MenuItem]:
    """Take an item off the menu for good; its name may be added again."""
    after = replace(before, retired=True)
    told = MenuItemRetired(item=before.item, before=_state(before), by=by)
    return Decision(after, ((_changed_v1(before, after, by), told),))


def _changed_v1(before: MenuItem, after: MenuItem, by: str) -> MenuItemChangedV1:
    return MenuItemChangedV1(item=after.item, before=_state_v1(before), after=_state_v1(after), by=by)


def _state(item: MenuItem) -> MenuItemState:
    return MenuItemState(**{name: getattr(item, name) for name in MenuItemState.__struct_fields__})


def _state_v1(item: MenuItem) -> MenuItemStateV1:
    return MenuItemStateV1(**{name: getattr(item, name) for name in MenuItemStateV1.__struct_fields__})
