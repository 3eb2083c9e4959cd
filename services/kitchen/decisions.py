"""Decides what becomes of a ticket: the one place where baking and cancelling meet."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Refusal
from backbone.events.payload import Event, Payload
from services.kitchen.events import (
    CancellationRefused,
    OrderCancellationRequested,
    OrderConfirmed,
    OrderLine,
    PizzaBaked,
    PizzaPrepared,
    TicketCancelled,
)

Fact = OrderConfirmed | OrderCancellationRequested

KITCHEN = "kitchen"  # who decides about a cancellation: nobody pressed a button


class Status(StrEnum):
    WAITING = "waiting"
    PREPARED = "prepared"
    BAKED = "baked"
    CANCELLED = "cancelled"


OPEN = (Status.WAITING, Status.PREPARED)


class Button(StrEnum):
    PREPARED = "prepared"
    BAKED = "baked"


class TicketLine(msgspec.Struct, frozen=True):
    item: str
    quantity: int


class Ticket(msgspec.Struct, frozen=True):
    order: str
    status: Status
    lines: tuple[TicketLine, ...]
    created_at: datetime
    by: str | None = None  # who pressed the last button
    correlationid: str | None = None  # of the order's story


class WrongButton(Refusal):
    """This button does not move the ticket on from where it is."""

    def __init__(self, ticket: Ticket, button: Button) -> None:
        super().__init__(f"The ticket is {ticket.status} and cannot become {button}.")


_MOVES: dict[Button, tuple[Status, Status, type[PizzaPrepared] | type[PizzaBaked]]] = {
    Button.PREPARED: (Status.WAITING, Status.PREPARED, PizzaPrepared),
    Button.BAKED: (Status.PREPARED, Status.BAKED, PizzaBaked),
}


def confirmed(ticket: Ticket | None, event: Event[OrderConfirmed], now: datetime) -> Decision[Ticket] | None:
    """Open the order's ticket, once, and where there is something to bake."""
    opened = None if ticket else open_ticket(event.data.order, event.data.lines, now)
    return Decision(replace(opened, correlationid=event.correlationid)) if opened else None


def cancellation_requested(
    ticket: Ticket | None, _event: Event[OrderCancellationRequested], _now: datetime
) -> Decision[Ticket] | None:
    """Cancel the order's ticket or refuse to.

    Without a ticket nothing is baked, and delivery decides: orders' events about one order come in order.
    """
    return cancel(ticket) if ticket else None


Decide = Callable[[Ticket | None, Event[Any], datetime], Decision[Ticket] | None]
"""Decides by an event about an order with this ticket, if it has one; None: nothing changes."""

FACTS: Mapping[type[Payload], Decide] = {
    OrderConfirmed: confirmed,
    OrderCancellationRequested: cancellation_requested,
}
"""What happens on which event."""


def open_ticket(order: str, lines: Sequence[OrderLine], now: datetime) -> Ticket | None:
    """Make the ticket of a confirmed order from its baked lines; None where nothing is baked."""
    baked = tuple(TicketLine(line.item, line.quantity) for line in lines if line.baked)
    return Ticket(order, Status.WAITING, baked, now) if baked else None


def press(ticket: Ticket, button: Button, by: str) -> Decision[Ticket]:
    """Move the ticket on; the same button again changes and tells nothing. Raises WrongButton."""
    before, after, fact = _MOVES[button]
    if ticket.status is after:
        return Decision(ticket)
    if ticket.status is not before:
        raise WrongButton(ticket, button)
    return Decision(replace(ticket, status=after, by=by), (fact(order=ticket.order, by=by),))


def cancel(ticket: Ticket) -> Decision[Ticket]:
    """Cancel a ticket that nobody has started, refuse any other.

    A ticket that is cancelled already tells nothing more.
    """
    if ticket.status is Status.CANCELLED:
        return Decision(ticket)
    if ticket.status is Status.WAITING:
        cancelled = replace(ticket, status=Status.CANCELLED)
        return Decision(cancelled, (TicketCancelled(order=ticket.order, by=KITCHEN),))
    reason = f"the kitchen has started: the ticket is {ticket.status}"
    return Decision(ticket, (CancellationRefused(order=ticket.order, by=KITCHEN, reason=reason),))
