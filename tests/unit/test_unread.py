"""A service is not asked again about what it has said that it does not read, but once for each story, for its jobs."""

import msgspec
import pytest

from services.ledger import listeners
from services.ledger.kept import Archived
from services.ledger.listeners import NOT_READ, Outcome, Unread
from tests.unit.test_journey import LEVEL, PLACED, event

HANDLED = Outcome("handled")


def of_story(story: str, *types: str) -> list[Archived]:
    return [msgspec.structs.replace(event(f"{story}-{each}", each), correlationid=story) for each in types]


def test_what_is_not_known_is_asked_for() -> None:
    assert Unread().leave_out("kitchen", of_story("a", PLACED, LEVEL)) == [0, 1]


def test_a_type_that_is_not_read_is_left_out_of_what_this_service_is_asked() -> None:
    unread, events = Unread(), of_story("a", PLACED, LEVEL, LEVEL)
    unread.note("kitchen", events, [HANDLED, NOT_READ, NOT_READ])
    assert unread.leave_out("kitchen", events) == [0]
    assert unread.leave_out("orders", events) == [0, 1, 2]


def test_of_a_story_without_anything_that_is_read_one_event_is_asked_for() -> None:
    unread, events = Unread(), [*of_story("a", PLACED), *of_story("b", LEVEL, LEVEL)]
    unread.note("kitchen", events, [HANDLED, NOT_READ, NOT_READ])
    assert unread.leave_out("kitchen", events) == [0, 1]
    elsewhere = [msgspec.structs.replace(each, topic="other.events") for each in events[1:]]
    assert unread.leave_out("kitchen", elsewhere) == [0, 1]


def test_what_is_not_read_is_asked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "UNREAD_FOR", -1.0)
    unread, events = Unread(), of_story("a", PLACED, LEVEL)
    unread.note("kitchen", events, [HANDLED, NOT_READ])
    assert unread.leave_out("kitchen", events) == [0, 1]
