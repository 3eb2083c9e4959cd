"""Decides of which cart a customer is reminded, and when: once, so long after the last item, unless it is ordered.

A cart that may be reminded of has one job. What moves the reminder is noted in the cart's row alone, and the job looks
there when it is due: so an item more costs no job more, and the job, which knows the settings, is told again for when.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Start
from backbone.events.payload import Event, Payload
from services.reminders.events import (
    CartCheckedOut,
    CartReminderDue,
    Customer,
    ItemAddedToCart,
    ItemRemovedFromCart,
    Line,
)

REMIND = "remind"
"""The job that looks whether a customer is to be reminded."""
HEARD_FOR = timedelta(minutes=10)
"""How long what was said later is waited for, at most: whoever reads old events hears of a checkout after the items."""
LATE = timedelta(minutes=1)
"""Who looks so long after the time was not there when it came."""
WAITED: Mapping[str, Any] = {"waited": True}
"""The data of a job that has waited for what was said while nobody was there."""

Fact = ItemAddedToCart | ItemRemovedFromCart | CartCheckedOut


class Reminder(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what is known of a cart. `heard_at`: when we heard of its last item, which was added at `last_item_at`."""

    cart: str
    version: int
    lines: tuple[Line, ...] = ()
    customer: Customer | None = None
    last_item_at: datetime | None = None
    heard_at: datetime | None = None
    reminded_at: datetime | None = None

    @property
    def is_pending(self) -> bool:
        """Tell whether the customer is to be reminded, if nothing comes in between."""
        has_items = bool(self.lines) and self.last_item_at is not None
        return has_items and self.customer is not None and self.reminded_at is None

    def due(self, after: timedelta) -> datetime | None:
        """Return when the customer is to be reminded, `after` the last item; None where there is nothing to say."""
        if not self.is_pending or self.last_item_at is None or self.heard_at is None:
            return None
        return max(self.last_item_at + after, self.heard_at + min(after, HEARD_FOR))


def item_added(known: Reminder | None, event: Event[ItemAddedToCart], now: datetime) -> Decision[Reminder] | None:
    """Begin to wait, or wait from this item on."""
    fact = event.data
    before = known or Reminder(cart=fact.cart, version=fact.version)
    if fact.version < before.version:
        return None
    after = replace(
        before,
        version=fact.version,
        lines=fact.lines,
        customer=fact.customer or before.customer,
        last_item_at=event.time,
        heard_at=now,
    )
    return _decided(known, after)


def item_removed(
    known: Reminder | None, event: Event[ItemRemovedFromCart], _now: datetime
) -> Decision[Reminder] | None:
    """Note what is left in the cart; when that is nothing there is nothing to remind of."""
    if known is None or event.data.version < known.version:
        return None
    return _decided(known, replace(known, version=event.data.version, lines=event.data.lines))


def checked_out(known: Reminder | None, event: Event[CartCheckedOut], _now: datetime) -> Decision[Reminder] | None:
    """Forget what was in the cart. What comes to its next version can be reminded of again."""
    fact = event.data
    if known is not None and fact.version < known.version:
        return None
    customer = known.customer if known else None
    return _decided(known, Reminder(cart=fact.cart, version=fact.version + 1, customer=customer))


FACTS: Mapping[type[Payload], Callable[[Reminder | None, Event[Any], datetime], Decision[Reminder] | None]] = {
    ItemAddedToCart: item_added,
    ItemRemovedFromCart: item_removed,
    CartCheckedOut: checked_out,
}
"""What happens on which event; None: nothing changes."""


def _decided(before: Reminder | None, after: Reminder) -> Decision[Reminder]:
    """Start the job of a reminder that becomes pending, and stop that of one which is not pending any more."""
    was, is_now = before is not None and before.is_pending, after.is_pending
    start, stop = (Start(REMIND),) if is_now and not was else (), (REMIND,) if was and not is_now else ()
    return Decision(after, start=start, stop=stop)


def remind(known: Reminder, after: timedelta, now: datetime, *, has_waited: bool = False) -> Decision[Reminder] | None:
    """Have the customer reminded, or look again when it is time. None: there is nothing to remind of.

    Who looks far too late was away, and may not have heard yet of what was ordered meanwhile: that is waited for, once.
    """
    due = known.due(after)
    if due is None or known.customer is None:
        return None
    if now < due:
        return Decision(known, start=(Start(REMIND, due=due),))
    if now - due > min(after, LATE) and not has_waited:
        return Decision(known, start=(Start(REMIND, data=WAITED, due=now + min(after, HEARD_FOR)),))
    said = CartReminderDue(cart=known.cart, version=known.version, customer=known.customer, lines=known.lines)
    return Decision(replace(known, reminded_at=now), events=(said,))
