from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.decision import Decision
from backbone.events.payload import Payload
from services.delivery import decisions
from services.delivery.decisions import Button, Delivery, Status, WrongButton
from services.delivery.events import (
    CancellationRefused,
    Customer,
    DeliveryCancelled,
    Fulfilment,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCollected,
    OrderConfirmed,
    OrderDelivered,
    OrderDispatched,
    OrderLine,
    PizzaBaked,
)
from tests.told import told

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
UNKNOWN = Delivery("o-1", NOW)
STARTED = (OrderDispatched, OrderCollected)


def order(*baked: bool, fulfilment: Fulfilment = "delivery") -> OrderConfirmed:
    return OrderConfirmed(
        order="o-1",
        customer=Customer(name="Ada"),
        fulfilment=fulfilment,
        address="1 Mill Lane" if fulfilment == "delivery" else None,
        lines=tuple(OrderLine(baked=each) for each in baked),
    )


def ready(fulfilment: Fulfilment = "delivery") -> Delivery:
    return decisions.confirmed(UNKNOWN, order(False, fulfilment=fulfilment)).state


def step(known: Delivery, name: str, placed: OrderConfirmed) -> Decision[Delivery]:
    if name == "confirmed":
        return decisions.confirmed(known, placed)
    if name == "oven":
        return decisions.pizza_baked(known, PizzaBaked(order="o-1"))
    if name == "cancel":
        return decisions.cancellation_requested(known, OrderCancellationRequested(order="o-1"))
    if name == "closed":
        return decisions.order_cancelled(known, OrderCancelled(order="o-1"))
    return decisions.press(known, Button(name), "ann")


def run(names: Sequence[str], placed: OrderConfirmed) -> tuple[Delivery, list[Payload]]:
    known, events = UNKNOWN, list[Payload]()
    for name in names:
        try:
            decision = step(known, name, placed)
        except WrongButton:
            continue
        known = decision.state
        events += told(decision)
    return known, events


ORDERS = st.builds(
    lambda baked, fulfilment: order(*baked, fulfilment=fulfilment),
    st.lists(st.booleans(), min_size=1, max_size=3),
    st.sampled_from(("delivery", "collection")),
)


@st.composite
def histories(draw: st.DrawFn) -> list[str]:
    """Every fact once and buttons pressed at will, all shuffled; orders' own topic keeps its order."""
    facts = [name for name in ("oven", "cancel", "closed") if draw(st.booleans())]
    presses = draw(st.lists(st.sampled_from([button.value for button in Button]), max_size=8))
    shuffled = draw(st.permutations(["confirmed", *facts, *presses]))
    from_orders = iter([name for name in ("confirmed", "cancel", "closed") if name in shuffled])
    return [next(from_orders) if name in ("confirmed", "cancel", "closed") else name for name in shuffled]


@given(st.permutations(["confirmed", "oven"]), ORDERS)
def test_both_facts_in_either_order_make_it_ready(names: list[str], placed: OrderConfirmed) -> None:
    known, told = run(names, placed)
    assert known == run(["confirmed", "oven"], placed)[0]
    assert (known.status, told) == (Status.READY, [])
    assert (known.customer_name, known.address) == ("Ada", placed.address)


@given(st.sampled_from(["confirmed", "oven"]), ORDERS)
def test_one_fact_is_enough_only_where_nothing_is_baked(name: str, placed: OrderConfirmed) -> None:
    known, _ = run([name], placed)
    startable = name == "confirmed" and not any(line.baked for line in placed.lines)
    assert known.status is (Status.READY if startable else Status.WAITING)


@given(histories(), ORDERS)
def test_it_starts_only_when_confirmed_and_baked(names: list[str], placed: OrderConfirmed) -> None:
    needed = {"confirmed", "oven"} if any(line.baked for line in placed.lines) else {"confirmed"}
    for length in range(len(names) + 1):
        _, told = run(names[:length], placed)
        if any(isinstance(event, STARTED) for event in told):
            assert needed <= {*names[:length]}


@given(histories(), ORDERS)
def test_exactly_one_of_started_and_cancelled_wins(names: list[str], placed: OrderConfirmed) -> None:
    known, told = run(names, placed)
    started = [event for event in told if isinstance(event, STARTED)]
    cancelled = [event for event in told if isinstance(event, DeliveryCancelled)]
    assert len(started) + len(cancelled) <= 1
    assert (known.status is Status.CANCELLED) <= (not started)
    if "closed" in names:
        assert (known.status is Status.CANCELLED) is (not started)


@given(histories(), ORDERS)
def test_nothing_is_told_twice_and_only_what_suits_the_fulfilment(names: list[str], placed: OrderConfirmed) -> None:
    _, told = run(names, placed)
    way = [type(event) for event in told if isinstance(event, (*STARTED, OrderDelivered))]
    if placed.fulfilment == "collection":
        assert way in ([], [OrderCollected])
    else:
        assert way in ([], [OrderDispatched], [OrderDispatched, OrderDelivered])


@given(histories(), ORDERS)
def test_a_request_to_cancel_is_answered_here_only_where_nothing_is_baked(
    names: list[str], placed: OrderConfirmed
) -> None:
    _, told = run(names, placed)
    answers = [event for event in told if isinstance(event, (DeliveryCancelled, CancellationRefused))]
    ours = "cancel" in names and not any(line.baked for line in placed.lines)
    assert len(answers) == int(ours)


@given(st.permutations(["confirmed", "oven", "closed"]), ORDERS)
def test_a_cancelled_order_stays_closed_whatever_is_learnt_late(names: list[str], placed: OrderConfirmed) -> None:
    known, told = run(names, placed)
    assert (known.status, told) == (Status.CANCELLED, [])


def test_a_delivery_is_dispatched_and_delivered_by_those_who_pressed() -> None:
    dispatched = decisions.press(ready(), Button.DISPATCHED, "ann")
    delivered = decisions.press(dispatched.state, Button.DELIVERED, "bob")
    assert dispatched.events == (OrderDispatched(order="o-1", by="ann"),)
    assert delivered.events == (OrderDelivered(order="o-1", by="bob"),)


def test_pressed_twice_is_the_first_ones_press() -> None:
    first = decisions.press(ready("collection"), Button.COLLECTED, "ann")
    again = decisions.press(first.state, Button.COLLECTED, "bob")
    assert again == Decision(first.state)


@pytest.mark.parametrize(
    ("fulfilment", "button"),
    [
        ("delivery", Button.COLLECTED),
        ("delivery", Button.DELIVERED),
        ("collection", Button.DISPATCHED),
        ("collection", Button.DELIVERED),
    ],
)
def test_the_wrong_button_is_refused_by_name(fulfilment: Fulfilment, button: Button) -> None:
    with pytest.raises(WrongButton, match=f"for {fulfilment} that is ready cannot become {button}"):
        decisions.press(ready(fulfilment), button, "ann")


def test_nothing_is_pressed_before_it_is_baked() -> None:
    waiting = decisions.confirmed(UNKNOWN, order(True)).state
    with pytest.raises(WrongButton, match="is waiting"):
        decisions.press(waiting, Button.DISPATCHED, "ann")


def test_what_has_left_is_not_cancelled() -> None:
    left = decisions.press(ready(), Button.DISPATCHED, "ann").state
    decision = decisions.cancellation_requested(left, OrderCancellationRequested(order="o-1"))
    assert decision.state == left
    (refused,) = decision.events
    assert isinstance(refused, CancellationRefused)
    assert refused.reason == "the order is already dispatched"
