"""Where a reader goes on: decided from the stored place and the log there is now."""

from uuid import uuid4

import pytest

from backbone.consuming.broker import Log
from backbone.consuming.places import ANOTHER_LOG, CUT_BACK, GONE, Stored, resume
from backbone.consuming.sql import ANEW

PLACE = ("things.events", 0)
ID = uuid4()
LOG = Log(ID, epoch=7, beginning=10, end=100)


def stored(offset: int, checked: int | None = None) -> Stored:
    return Stored(offset, ID, 5, offset if checked is None else checked)


@pytest.mark.parametrize(
    ("place", "epoch_end", "goes_on"),
    [
        (None, None, 10),
        (Stored(50, None, None, None), None, 50),
        (Stored(ANEW, ID, 7, 60), None, 10),
        (stored(50), None, 50),
        (stored(100), None, 100),
        (stored(10), None, 10),
        (stored(50), 50, 50),
        (stored(50), 60, 50),
    ],
    ids=[
        "a new reader reads from the beginning",
        "a row without a log adopts the one it is found in",
        "who asked for the beginning gets it",
        "in the middle",
        "at the end",
        "at the beginning",
        "the epoch ended where it was checked",
        "the epoch ended later",
    ],
)
def test_a_place_that_fits_is_where_reading_goes_on(place: Stored | None, epoch_end: int | None, goes_on: int) -> None:
    assert resume(PLACE, place, LOG, epoch_end) == (goes_on, None)


def test_what_was_read_since_the_last_look_is_read_again_after_a_change_of_leaders() -> None:
    assert resume(PLACE, stored(50, checked=40), LOG, 45) == (45, None)


@pytest.mark.parametrize(
    ("place", "epoch_end", "what", "goes_on"),
    [
        (Stored(50, uuid4(), 5, 50), None, ANOTHER_LOG, 10),
        (Stored(500, uuid4(), 5, 500), None, ANOTHER_LOG, 10),
        (Stored(101, ID, 7, 101), None, CUT_BACK, 10),
        (Stored(101, None, None, None), None, CUT_BACK, 10),
        (stored(101), 80, CUT_BACK, 80),
        (stored(50), 40, CUT_BACK, 40),
        (stored(50), 5, CUT_BACK, 10),
        (stored(50), -1, CUT_BACK, 10),
        (stored(9), None, GONE, 10),
        (Stored(0, None, None, None), None, GONE, 10),
    ],
    ids=[
        "the topic was made anew and has grown past the place",
        "the topic was made anew and is shorter",
        "the log ends before the place, in the same epoch",
        "the log ends before the place of a row without a log",
        "the log ends before the place and the epoch tells where it was cut",
        "the log was cut and has grown past the place",
        "the log was cut before what is left of it",
        "the log never had the epoch",
        "the log begins after the place",
        "the log begins after the place of a row without a log",
    ],
)
def test_a_place_that_does_not_fit_is_told_of(place: Stored, epoch_end: int | None, what: str, goes_on: int) -> None:
    offset, broken = resume(PLACE, place, LOG, epoch_end)
    assert broken is not None
    assert (offset, broken.what) == (goes_on, what)
    assert str(place.next) in broken.said


def test_the_number_of_records_gone_unread_is_known() -> None:
    _, broken = resume(PLACE, stored(3), LOG, None)
    assert broken is not None
    assert broken.unread == 7
