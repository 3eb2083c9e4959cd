"""Says how a ticket follows from events: the buttons told of themselves, and the rest is decided again."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from backbone.decision import Decision
from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.kitchen.decisions import FACTS, Button, Ticket, press
from services.kitchen.events import CancellationRefused, PizzaBaked, PizzaPrepared, TicketCancelled


def _pressed(button: Button) -> Callable[[Ticket | None, Event[Any], datetime], Decision[Ticket]]:
    def decide(ticket: Ticket | None, event: Event[Any], _: datetime) -> Decision[Ticket]:
        assert ticket, "There was no ticket."  # noqa: S101
        return press(ticket, button, event.data.by)

    return decide


def _shown(ticket: Ticket) -> dict[str, Any]:
    lines = [{"item": line.item, "quantity": line.quantity} for line in ticket.lines]
    return {"status": ticket.status, "lines": lines, "by": ticket.by}


REBUILDS = (
    Rebuilding(
        of="order",
        key=lambda payload: payload.order,
        heard=FACTS,
        told={PizzaPrepared: _pressed(Button.PREPARED), PizzaBaked: _pressed(Button.BAKED)},
        at_once=frozenset({TicketCancelled, CancellationRefused}),
        show=_shown,
        lacks="",
    ),
)
