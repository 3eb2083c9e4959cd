"""How long the oldest unread record has waited is told from looks at where its log ended."""

from datetime import UTC, datetime, timedelta

from backbone.consuming.ages import MOST, Ages

PLACE = ("things.events", 0)
BEGAN = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def looked(*looks: tuple[int, int], read: datetime | None = None) -> float:
    """The seconds told at the last of these looks, five seconds apart; each is a position and a log's end."""
    ages = Ages()
    told = [ages.look(PLACE, position, end, at(5 * number), read) for number, (position, end) in enumerate(looks)]
    return told[-1].total_seconds()


def test_nobody_waits_where_all_is_read() -> None:
    assert looked((10, 10)) == 0
    assert looked((10, 10), (12, 12)) == 0


def test_a_record_that_came_after_a_look_has_waited_since_then_at_most() -> None:
    assert looked((10, 10), (10, 11)) == 5
    assert looked((10, 10), (10, 11), (10, 30), (10, 31)) == 15


def test_a_reader_that_goes_on_is_behind_by_what_came_since_the_log_ended_where_it_stands() -> None:
    assert looked((10, 10), (10, 20), (10, 30), (25, 40)) == 10
    assert looked((10, 10), (10, 20), (10, 30), (30, 40)) == 5
    assert looked((10, 10), (10, 20), (10, 30), (40, 40)) == 0


def test_of_a_reader_that_was_behind_from_the_beginning_the_last_record_it_read_tells() -> None:
    assert looked((10, 500), (20, 500)) == 5  # nothing is known of before
    assert looked((10, 500), (20, 500), read=at(-3600)) == 3605


def test_a_record_read_long_ago_makes_nobody_late_for_one_that_came_just_now() -> None:
    assert looked((10, 10), (10, 11), read=at(-7200)) == 5


def test_a_clock_that_is_ahead_makes_no_age_negative() -> None:
    assert looked((10, 500), read=at(60)) == 0


def test_a_topic_that_was_made_anew_begins_anew() -> None:
    assert looked((10, 10), (10, 20), (0, 3), (0, 5)) == 5


def test_however_long_a_reader_stands_still_a_bounded_number_of_looks_is_remembered() -> None:
    ages = Ages()
    for second in range(5 * MOST):
        told = ages.look(PLACE, 0, second, at(second), None)
    assert told == timedelta(seconds=5 * MOST - 1)
    assert len(ages._looks[PLACE]) <= MOST
    halfway = ages.look(PLACE, 2 * MOST, 5 * MOST, at(5 * MOST), None)
    assert halfway.total_seconds() / (3 * MOST) < 1.05


def test_a_partition_that_is_gone_is_forgotten() -> None:
    ages = Ages()
    ages.look(PLACE, 0, 0, at(0), None)
    ages.forget_others({})
    assert ages.look(PLACE, 0, 5, at(60), None) == timedelta(0)
