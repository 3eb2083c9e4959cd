from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.events.payload import Payload
from services.kitchen.decisions import Button, Status, Ticket, WrongButton, cancel, open_ticket, press
from services.kitchen.events import (
    CancellationRefused,
    OrderLine,
    PizzaBaked,
    PizzaPrepared,
    TicketCancelled,
)
from tests.told import told

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
PIZZA = OrderLine(item="margherita", quantity=2, baked=True)
COLA = OrderLine(item="cola", quantity=1, baked=False)

Step = Literal["prepared", "baked", "cancel"]
STEPS = st.lists(st.sampled_from(("prepared", "baked", "cancel")), max_size=12)


def ticket(status: Status = Status.WAITING) -> Ticket:
    opened = open_ticket("o-1", [PIZZA], NOW)
    assert opened is not None
    return Ticket("o-1", status, opened.lines, NOW)


def run(steps: list[Step]) -> tuple[Ticket, list[Payload]]:
    now, events = ticket(), list[Payload]()
    for step in steps:
        try:
            decision = cancel(now) if step == "cancel" else press(now, Button(step), "ann")
        except WrongButton:
            continue
        now = decision.state
        events += told(decision)
    return now, events


def count(events: list[Payload], kind: type[Payload]) -> int:
    return sum(isinstance(event, kind) for event in events)


def test_a_ticket_holds_only_what_is_baked() -> None:
    opened = open_ticket("o-1", [COLA, PIZZA], NOW)
    assert opened is not None
    assert [(line.item, line.quantity) for line in opened.lines] == [("margherita", 2)]


def test_an_order_without_anything_to_bake_gets_no_ticket() -> None:
    assert open_ticket("o-1", [COLA], NOW) is None


def test_both_buttons_in_order_bake_the_pizza_and_name_who_pressed() -> None:
    prepared = press(ticket(), Button.PREPARED, "ann")
    baked = press(prepared.state, Button.BAKED, "bob")
    assert prepared.events == (PizzaPrepared(order="o-1", by="ann"),)
    assert baked.events == (PizzaBaked(order="o-1", by="bob"),)
    assert baked.state.status is Status.BAKED


def test_pressed_twice_is_the_first_ones_press() -> None:
    first = press(ticket(), Button.PREPARED, "ann")
    again = press(first.state, Button.PREPARED, "bob")
    assert again.state == first.state
    assert again.events == ()


@pytest.mark.parametrize(
    ("status", "button"),
    [
        (Status.WAITING, Button.BAKED),
        (Status.BAKED, Button.PREPARED),
        (Status.CANCELLED, Button.PREPARED),
        (Status.CANCELLED, Button.BAKED),
    ],
)
def test_the_wrong_button_is_refused_by_name(status: Status, button: Button) -> None:
    with pytest.raises(WrongButton, match=f"is {status} and cannot become {button}"):
        press(ticket(status), button, "ann")


@pytest.mark.parametrize("status", [Status.PREPARED, Status.BAKED])
def test_what_has_started_is_not_cancelled(status: Status) -> None:
    decision = cancel(ticket(status))
    assert decision.state.status is status
    (refused,) = decision.events
    assert isinstance(refused, CancellationRefused)
    assert refused.reason.endswith(status)


@given(STEPS)
def test_exactly_one_of_started_and_cancelled_wins(steps: list[Step]) -> None:
    _, told = run(steps)
    assert count(told, PizzaPrepared) + count(told, TicketCancelled) == (1 if {"prepared", "cancel"} & {*steps} else 0)


@given(STEPS)
def test_nothing_is_told_twice_and_baking_follows_preparing(steps: list[Step]) -> None:
    last, told = run(steps)
    kinds = [type(event) for event in told if not isinstance(event, CancellationRefused)]
    assert kinds in ([], [TicketCancelled], [PizzaPrepared], [PizzaPrepared, PizzaBaked])
    reached: dict[Status, list[type[Payload]]] = {
        Status.WAITING: [],
        Status.CANCELLED: [TicketCancelled],
        Status.PREPARED: [PizzaPrepared],
        Status.BAKED: [PizzaPrepared, PizzaBaked],
    }
    assert kinds == reached[last.status]


@given(STEPS)
def test_every_first_request_to_cancel_is_answered(steps: list[Step]) -> None:
    last, told = run(steps)
    answers = count(told, TicketCancelled) + count(told, CancellationRefused)
    assert answers == (min(1, steps.count("cancel")) if last.status is Status.CANCELLED else steps.count("cancel"))
