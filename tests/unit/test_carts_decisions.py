"""What becomes of a cart: nothing received is lost, and each version is ordered once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backbone.decision import Decision, Refusal, Start
from services.carts import decisions
from services.carts.decisions import (
    MOST_LINES,
    MOST_OF_ONE,
    PLACE,
    Addition,
    Cart,
    Empty,
    Full,
    NoCustomer,
    NotThere,
    Objection,
    OtherCustomer,
    Progress,
    Terms,
    UnderWay,
)
from services.carts.events import CartCheckedOut, Customer, ItemAddedToCart, ItemRemovedFromCart, Line

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
ADA = Customer("ada", "Ada", "ada@example.com")
BOB = Customer("bob", "Bob", "bob@example.com")
TERMS = Terms("GBP", "delivery", "1 Mill Lane", "ada")
EMPTY = Cart(id="c", changed_at=NOW)
LINES = (Line("margherita", 2), Line("cola", 1))
OPEN = replace(EMPTY, lines=LINES, customer=ADA)
UNDER_WAY = decisions.check_out(OPEN, TERMS, NOW).state


def added(cart: Cart, item: str, quantity: int = 1, customer: Customer | None = None) -> Decision[Cart]:
    return decisions.add(cart, Addition("c", item, quantity, customer), NOW)


def test_an_item_that_is_added_is_told_with_all_that_is_in_the_cart_and_whose_it_is() -> None:
    decision = added(OPEN, "water", 3)
    lines = (*LINES, Line("water", 3))
    assert decision.state == replace(OPEN, lines=lines)
    assert decision.events == (
        ItemAddedToCart(cart="c", version=1, item="water", quantity=3, lines=lines, customer=ADA),
    )


def test_more_of_an_item_joins_its_line() -> None:
    assert added(OPEN, "margherita", 5).state.lines == (Line("margherita", 7), Line("cola", 1))


def test_a_cart_is_whose_the_client_last_said_it_is() -> None:
    assert added(EMPTY, "cola").state.customer is None
    assert added(OPEN, "cola").state.customer == ADA
    assert added(OPEN, "cola", customer=BOB).state.customer == BOB


def test_a_cart_takes_as_much_as_an_order_can_have_and_no_more() -> None:
    most = replace(EMPTY, lines=tuple(Line(f"item-{number}", MOST_OF_ONE) for number in range(MOST_LINES)))
    with pytest.raises(Full, match="1001 of item-7"):
        added(most, "item-7")
    with pytest.raises(Full, match="50 different items"):
        added(most, "one-more")
    last = replace(most, lines=most.lines[1:])
    assert len(added(last, "item-0", MOST_OF_ONE).state.lines) == MOST_LINES


def test_an_item_is_removed_with_all_there_is_of_it() -> None:
    decision = decisions.remove(OPEN, "margherita", NOW)
    assert decision.state == replace(OPEN, lines=LINES[1:])
    assert decision.events == (
        ItemRemovedFromCart(cart="c", version=1, item="margherita", quantity=2, lines=LINES[1:]),
    )


def test_what_is_not_in_the_cart_cannot_be_removed() -> None:
    with pytest.raises(NotThere, match="no water"):
        decisions.remove(OPEN, "water", NOW)


def of_margheritas(quantity: int) -> Decision[Cart]:
    return decisions.set_quantity(OPEN, "margherita", quantity, NOW)


def test_more_of_an_item_are_told_as_those_that_were_added_and_nothing_where_there_are_as_many() -> None:
    assert of_margheritas(5) == added(OPEN, "margherita", 3)
    assert decisions.set_quantity(OPEN, "water", 2, NOW) == added(OPEN, "water", 2)
    assert of_margheritas(2) == Decision(OPEN)
    assert decisions.set_quantity(OPEN, "water", 0, NOW) == Decision(OPEN)


def test_fewer_of_an_item_are_told_as_all_taken_out_and_so_many_put_in_and_its_line_stays_where_it_was() -> None:
    decision = of_margheritas(1)
    lines = (Line("margherita", 1), LINES[1])
    assert decision.state == replace(OPEN, lines=lines)
    assert decision.events == (
        *decisions.remove(OPEN, "margherita", NOW).events,
        ItemAddedToCart(cart="c", version=1, item="margherita", quantity=1, lines=lines, customer=ADA),
    )


def test_none_of_an_item_is_told_as_taken_out() -> None:
    assert of_margheritas(0) == decisions.remove(OPEN, "margherita", NOW)


def test_how_many_there_are_is_not_changed_while_an_order_is_made_and_never_to_more_than_an_order_holds() -> None:
    with pytest.raises(UnderWay):
        decisions.set_quantity(UNDER_WAY, "cola", 1, NOW)
    most = replace(EMPTY, lines=tuple(Line(f"item-{number}", 1) for number in range(MOST_LINES)))
    with pytest.raises(Full, match="50 different items"):
        decisions.set_quantity(most, "one-more", 1, NOW)


def test_a_checkout_asks_for_an_order_of_all_that_is_in_the_cart() -> None:
    decision = decisions.check_out(OPEN, TERMS, NOW)
    assert decision.state.is_under_way
    assert decision.state.lines == LINES
    order = {
        "customer": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
        "currency": "GBP",
        "fulfilment": "delivery",
        "address": "1 Mill Lane",
        "lines": [{"item": "margherita", "quantity": 2}, {"item": "cola", "quantity": 1}],
    }
    assert decision.start == (Start(PLACE, data={"version": 1, "order": order}),)
    assert decision.events == ()


def test_a_checkout_may_say_who_orders() -> None:
    decision = decisions.check_out(OPEN, replace(TERMS, whose="bob", customer=BOB), NOW)
    assert decision.state.customer == BOB
    assert decision.start[0].data is not None
    assert decision.start[0].data["order"]["customer"]["id"] == "bob"


def test_a_checkout_under_way_is_asked_for_once_more_in_vain() -> None:
    assert decisions.check_out(UNDER_WAY, replace(TERMS, customer=BOB), NOW) == Decision(UNDER_WAY)


@pytest.mark.parametrize(
    ("cart", "refusal", "words"),
    [
        (EMPTY, Empty, "nothing in the cart"),
        (replace(OPEN, customer=None), NoCustomer, "is needed"),
        (replace(OPEN, customer=BOB), OtherCustomer, "another customer"),
        (decisions.placed(UNDER_WAY, 1, "o", NOW).state, Empty, "is the order o"),  # type: ignore[union-attr]
    ],
)
def test_what_cannot_be_ordered_is_refused(cart: Cart, refusal: type[Refusal], words: str) -> None:
    with pytest.raises(refusal, match=words):
        decisions.check_out(cart, TERMS, NOW)


def test_a_cart_that_is_checked_out_stays_as_it_is() -> None:
    with pytest.raises(UnderWay):
        added(UNDER_WAY, "water")
    with pytest.raises(UnderWay):
        decisions.remove(UNDER_WAY, "cola", NOW)


def test_a_cart_that_was_ordered_goes_on_empty_in_its_next_version() -> None:
    decision = decisions.placed(UNDER_WAY, 1, "o", NOW)
    assert decision is not None
    after = decision.state
    assert (after.version, after.lines, after.customer) == (2, (), ADA)
    assert after.checkout is not None
    assert (after.checkout.version, after.checkout.status, after.checkout.order) == (1, Progress.PLACED, "o")
    assert decision.events == (CartCheckedOut(cart="c", version=1, order="o", customer=ADA, lines=LINES),)


def test_a_cart_that_was_refused_is_open_as_it_was_in_its_next_version() -> None:
    errors = (Objection("lines.1.item", "is not on the menu"),)
    decision = decisions.refused(UNDER_WAY, 1, "One field is not acceptable.", errors, NOW)
    assert decision is not None
    after = decision.state
    assert (after.version, after.lines, after.is_under_way, decision.events) == (2, LINES, False, ())
    assert after.checkout is not None
    assert (after.checkout.status, after.checkout.errors) == (Progress.REFUSED, errors)
    assert decisions.check_out(after, TERMS, NOW).start[0].data is not None


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("cart", [OPEN, UNDER_WAY, decisions.refused(UNDER_WAY, 1, "", (), NOW).state])  # type: ignore[union-attr]
def test_an_answer_about_another_version_changes_nothing(cart: Cart, version: int) -> None:
    assert decisions.placed(cart, version, "o", NOW) is None
    assert decisions.refused(cart, version, "why", (), NOW) is None


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(["a", "b", "c"]), st.integers(1, 400)),
        st.tuples(st.sampled_from(["remove", "check out", "placed", "refused"]), st.sampled_from(["a", "b", "c"])),
    ),
    max_size=40,
)


@given(MOVES)
def test_whatever_was_received_is_removed_ordered_or_still_there(moves: list[tuple[Any, ...]]) -> None:
    cart, received, gone = replace(EMPTY, customer=ADA), 0, 0
    ordered: list[int] = []
    for move in moves:
        try:
            decision = made(cart, *move)
        except Refusal:
            continue
        if decision is None:
            continue
        cart = decision.state
        for event in decision.events:
            match event:
                case ItemAddedToCart():
                    received += event.quantity
                case ItemRemovedFromCart():
                    gone += event.quantity
                case CartCheckedOut():
                    gone += sum(line.quantity for line in event.lines)
                    ordered.append(event.version)
    assert received == gone + sum(line.quantity for line in cart.lines)
    assert len(ordered) == len(set(ordered))


def made(cart: Cart, move: str, *about: Any) -> Decision[Cart] | None:
    match move:
        case "add":
            return added(cart, *about)
        case "remove":
            return decisions.remove(cart, str(about[0]), NOW)
        case "check out":
            return decisions.check_out(cart, TERMS, NOW)
        case "placed":
            return decisions.placed(cart, cart.version, "o", NOW)
        case _:
            return decisions.refused(cart, cart.version, "why", (), NOW)
