"""When a customer is reminded of a cart: once, so long after the last item, and not of what is ordered or empty."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backbone.decision import Decision, Start
from backbone.events.payload import Event, Payload
from services.reminders.decisions import FACTS, REMIND, WAITED, Reminder, remind
from services.reminders.events import (
    CartCheckedOut,
    CartReminderDue,
    Customer,
    ItemAddedToCart,
    ItemRemovedFromCart,
    Line,
)

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
DAY = timedelta(days=1)
ADA = Customer("ada", "Ada", "ada@example.com")
LINES = (Line("margherita", 2),)
START, STOP = (Start(REMIND),), (REMIND,)


def heard(
    known: Reminder | None, fact: Payload, at: datetime = NOW, now: datetime | None = None
) -> Decision[Any] | None:
    event: Event[Any] = Event(
        id="e",
        type=fact.TYPE,
        source="/sliceline/carts",
        subject="c",
        time=at,
        key="c",
        correlationid="s",
        causationid=None,
        occurrenceid="e",
        sequence=1,
        traceparent=None,
        data=fact,
    )
    return FACTS[type(fact)](known, event, now or at)


def added(version: int = 1, customer: Customer | None = ADA) -> ItemAddedToCart:
    return ItemAddedToCart(cart="c", version=version, lines=LINES, customer=customer)


def removed(*lines: Line, version: int = 1) -> ItemRemovedFromCart:
    return ItemRemovedFromCart(cart="c", version=version, lines=lines)


def after(known: Reminder | None, fact: Payload, at: datetime = NOW) -> Reminder:
    decision = heard(known, fact, at)
    assert decision is not None
    state: Reminder = decision.state
    return state


WAITING = after(None, added())
REMINDED = replace(WAITING, reminded_at=NOW)


def test_the_first_item_starts_the_one_job_of_a_cart() -> None:
    first = heard(None, added())
    assert first is not None
    assert (first.state.is_pending, first.start, first.stop, first.events) == (True, START, (), ())
    second = heard(first.state, added())
    assert second is not None
    assert (second.start, second.stop) == ((), ())


def test_a_customer_is_reminded_a_day_after_the_last_item() -> None:
    later = after(WAITING, added(), NOW + timedelta(hours=3))
    assert WAITING.due(DAY) == NOW + DAY
    assert later.due(DAY) == NOW + DAY + timedelta(hours=3)


def test_a_look_before_its_time_is_repeated_then() -> None:
    assert remind(WAITING, DAY, NOW) == Decision(WAITING, start=(Start(REMIND, due=NOW + DAY),))


def test_a_customer_is_reminded_once() -> None:
    decision = remind(WAITING, DAY, NOW + DAY)
    assert decision is not None
    assert decision.events == (CartReminderDue(cart="c", version=1, customer=ADA, lines=LINES),)
    assert (decision.start, decision.state.reminded_at) == ((), NOW + DAY)
    assert remind(decision.state, DAY, NOW + 2 * DAY) is None
    more = heard(decision.state, added())
    assert more is not None
    assert (more.start, remind(more.state, DAY, NOW + 9 * DAY)) == ((), None)


def test_what_is_read_late_waits_for_what_was_said_after_it() -> None:
    """Whoever begins to read an old topic hears of the items first, and in the next batch that they are ordered."""
    week_later = NOW + timedelta(days=7)
    late = heard(None, added(), NOW, now=week_later)
    assert late is not None
    assert late.state.due(DAY) == week_later + timedelta(minutes=10)
    assert late.state.due(timedelta(seconds=5)) == week_later + timedelta(seconds=5)


def test_who_was_away_when_it_was_time_waits_once_for_what_was_said_meanwhile() -> None:
    back = NOW + DAY + timedelta(hours=1)
    decision = remind(WAITING, DAY, back)
    assert decision == Decision(WAITING, start=(Start(REMIND, data=WAITED, due=back + timedelta(minutes=10)),))
    told = remind(WAITING, DAY, back + timedelta(minutes=10), has_waited=True)
    assert told is not None
    assert len(told.events) == 1
    in_time = remind(WAITING, DAY, NOW + DAY + timedelta(seconds=59))
    assert in_time is not None
    assert len(in_time.events) == 1


def test_a_checkout_withdraws_the_reminder_and_the_next_version_has_one_of_its_own() -> None:
    for known in (WAITING, REMINDED, None):
        decision = heard(known, CartCheckedOut(cart="c", version=1))
        assert decision is not None
        assert (decision.state.is_pending, decision.state.version) == (False, 2)
        assert decision.stop == (STOP if known is WAITING else ())
        again = heard(decision.state, added(2, None if known else ADA))
        assert again is not None
        assert again.start == START


def test_removing_the_last_item_withdraws_the_reminder_and_another_item_begins_anew() -> None:
    less = heard(after(None, added()), removed(Line("margherita", 1)))
    assert less is not None
    assert (less.stop, less.state.is_pending) == ((), True)
    empty = heard(less.state, removed())
    assert empty is not None
    assert (empty.stop, empty.state.due(DAY)) == (STOP, None)
    again = heard(empty.state, added())
    assert again is not None
    assert again.start == START


def test_nobody_is_reminded_whom_nobody_knows() -> None:
    unknown = heard(None, added(customer=None))
    assert unknown is not None
    assert (unknown.start, unknown.state.due(DAY)) == ((), None)
    known = heard(unknown.state, added())
    assert known is not None
    assert known.start == START
    still = heard(known.state, added(customer=None))
    assert still is not None
    assert still.state.customer == ADA


@pytest.mark.parametrize("late", [added(1), removed(Line("cola", 1)), CartCheckedOut(cart="c", version=1)])
def test_what_is_said_of_an_earlier_version_changes_nothing(late: Payload) -> None:
    assert heard(after(None, added(2)), late) is None


def test_a_removal_from_a_cart_nobody_has_heard_of_says_nothing() -> None:
    assert heard(None, removed(Line("cola", 1))) is None


STEPS = st.lists(st.sampled_from(["add", "add nameless", "remove", "empty", "order", "hour", "day"]), max_size=30)


@given(STEPS)
def test_between_two_orders_a_customer_is_reminded_once_at_most_and_a_pending_reminder_has_its_job(
    steps: list[str],
) -> None:
    known: Reminder | None = None
    job, now, version, reminded = False, NOW, 1, 0
    for step in steps:
        if step in ("hour", "day"):
            now += timedelta(hours=1 if step == "hour" else 24)
            decision = remind(known, DAY, now) if known and job else None
            job = bool(decision and decision.start)
        else:
            decision = heard(known, said(step, version), now)
            job = (job or bool(decision and decision.start)) and not (decision and decision.stop)
        if step == "order":
            version, reminded = version + 1, 0
        if decision:
            known = decision.state
            reminded += len(decision.events)
        assert reminded <= 1
        assert job == bool(known and known.is_pending)


def said(step: str, version: int) -> Payload:
    match step:
        case "add" | "add nameless":
            return added(version, ADA if step == "add" else None)
        case "remove":
            return removed(Line("cola", 1), version=version)
        case "empty":
            return removed(version=version)
        case _:
            return CartCheckedOut(cart="c", version=version)
