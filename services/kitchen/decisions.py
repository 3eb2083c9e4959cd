"""What becomes of a ticket: the one place where baking and cancelling meet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from backbone.errors import SlicelineError
from backbone.events.payload import Payload
from services.kitchen.events import (
    CancellationRefused,
    OrderCancellationRequested,
    OrderConfirmed,
    OrderLine,
    PizzaBaked,
    PizzaPrepared,
    TicketCancelled,
)

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


@dataclass(frozen=True, slots=True)
class TicketLine:
    item: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Ticket:
    order: str
    status: Status
    lines: tuple[TicketLine, ...]
    created_at: datetime
    by: str | None = None  # who pressed the last button
    correlationid: str | None = None  # of the order's story


@dataclass(frozen=True, slots=True)
class Decision:
    """The ticket as it is from now on, and what the world is told about it."""

    ticket: Ticket
    events: tuple[Payload, ...] = ()


class WrongButton(SlicelineError):
    """This button does not move the ticket on from where it is."""

    def __init__(self, ticket: Ticket, button: Button) -> None:
        super().__init__(f"The ticket is {ticket.status} and cannot become {button}.")


_MOVES: dict[Button, tuple[Status, Status, type[PizzaPrepared] | type[PizzaBaked]]] = {
    Button.PREPARED: (Status.WAITING, Status.PREPARED, PizzaPrepared),
    Button.BAKED: (Status.PREPARED, Status.BAKED, PizzaBaked),
}


def heard(ticket: Ticket | None, fact: OrderConfirmed | OrderCancellationRequested, now: datetime) -> Decision | None:
    """What a fact means for the order's ticket, if it has one; None where it means nothing.

    A cancellation without a ticket: nothing is baked, and delivery decides (orders' events about one order come in
    order).
    """
    if isinstance(fact, OrderCancellationRequested):
        return cancel(ticket) if ticket else None
    opened = None if ticket else open_ticket(fact.order, fact.lines, now)
    return Decision(opened) if opened else None


def open_ticket(order: str, lines: Sequence[OrderLine], now: datetime) -> Ticket | None:
    """The ticket of a confirmed order: its baked lines, or None where nothing is baked."""
    baked = tuple(TicketLine(line.item, line.quantity) for line in lines if line.baked)
    return Ticket(order, Status.WAITING, baked, now) if baked else None


def press(ticket: Ticket, button: Button, by: str) -> Decision:
    """Move the ticket on; the same button again changes and tells nothing. Raises WrongButton."""
    before, after, fact = _MOVES[button]
    if ticket.status is after:
        return Decision(ticket)
    if ticket.status is not before:
        raise WrongButton(ticket, button)
    return Decision(replace(ticket, status=after, by=by), (fact(order=ticket.order, by=by),))


def cancel(ticket: Ticket) -> Decision:
    """Cancel what nobody has started, refuse the rest; asked again after cancelling, nothing more is said."""
    if ticket.status is Status.CANCELLED:
        return Decision(ticket)
    if ticket.status is Status.WAITING:
        cancelled = replace(ticket, status=Status.CANCELLED)
        return Decision(cancelled, (TicketCancelled(order=ticket.order, by=KITCHEN),))
    reason = f"the kitchen has started: the ticket is {ticket.status}"
    return Decision(ticket, (CancellationRefused(order=ticket.order, by=KITCHEN, reason=reason),))
