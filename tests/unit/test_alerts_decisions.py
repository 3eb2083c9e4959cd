"""One alert per crossing."""

from collections.abc import Set
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts import decisions
from services.alerts.decisions import Alerts, Crossing, judge, low_clears_at
from services.alerts.events import Availability, Kind, StockAlertRaised, StockLevelChanged

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NOTHING: frozenset[Kind] = frozenset()


def at(available: int, threshold: int = 100, ceiling: int = 1000) -> StockLevelChanged:
    return StockLevelChanged(
        sku="dough", after=Availability(available), threshold=threshold, ceiling=ceiling, channel="orders"
    )


def crossing(*, raised: Set[Kind] = NOTHING, cleared: Set[Kind] = NOTHING) -> Crossing:
    return Crossing(frozenset(raised), frozenset(cleared))


def follow(*levels: StockLevelChanged) -> list[str]:
    """What is told while the levels go by: +kind for raised, -kind for cleared."""
    _, told = decisions.follow({}, levels, NOW)
    return [("+" if isinstance(each, StockAlertRaised) else "-") + each.kind for payloads in told for each in payloads]


def test_low_begins_at_the_threshold_and_not_above_it() -> None:
    assert judge(NOTHING, at(101)) == crossing()
    assert judge(NOTHING, at(100)) == crossing(raised={"low"})


def test_low_is_told_once_and_not_per_sale() -> None:
    assert follow(at(101), at(100), at(99), at(50), at(1)) == ["+low"]


def test_stock_that_swings_around_the_threshold_is_told_once() -> None:
    assert follow(at(100), at(101), at(100), at(109), at(100)) == ["+low"]


def test_low_ends_a_tenth_above_the_threshold_and_can_then_begin_again() -> None:
    assert follow(at(100), at(109), at(110), at(100)) == ["+low", "-low", "+low"]


@pytest.mark.parametrize(("threshold", "clears"), [(0, 0), (1, 2), (10, 11), (15, 17), (100, 110)])
def test_the_tenth_is_rounded_up(threshold: int, clears: int) -> None:
    assert low_clears_at(threshold) == clears


def test_a_fall_through_the_threshold_straight_to_nothing_is_told_once_as_out() -> None:
    assert follow(at(500), at(0)) == ["+out"]


def test_low_stays_while_the_last_pieces_go_and_come_back() -> None:
    assert follow(at(100), at(0), at(3), at(110)) == ["+low", "+out", "-out", "-low"]


def test_too_small_a_delivery_after_out_is_low() -> None:
    assert follow(at(0), at(3)) == ["+out", "-out", "+low"]


def test_a_large_delivery_after_out_leaves_nothing_active() -> None:
    assert follow(at(0), at(500)) == ["+out", "-out"]


def test_over_begins_above_the_ceiling_and_ends_at_it() -> None:
    assert follow(at(1000), at(1001), at(2000), at(1000)) == ["+over", "-over"]


def test_new_limits_raise_and_clear_too() -> None:
    assert follow(at(50, threshold=10), at(50, threshold=60), at(50, threshold=45)) == ["+low", "-low"]
    assert follow(at(500), at(500, ceiling=400), at(500)) == ["+over", "-over"]


def test_a_threshold_of_nothing_never_warns_of_low() -> None:
    assert follow(at(1, threshold=0), at(0, threshold=0), at(1, threshold=0)) == ["+out", "-out"]


levels = st.builds(at, st.integers(0, 30), st.integers(0, 20), st.integers(0, 40))


@given(st.lists(levels, max_size=30))
def test_raised_and_cleared_take_turns_for_every_kind(passing: list[StockLevelChanged]) -> None:
    told = follow(*passing)
    for kind in ("low", "out", "over"):
        signs = [each[0] for each in told if each[1:] == kind]
        assert signs == ["+", "-"] * (len(signs) // 2) + ["+"] * (len(signs) % 2)


@given(st.lists(levels, max_size=12), st.integers(0, 12))
def test_levels_followed_at_once_come_to_the_same_as_in_two_parts(passing: list[StockLevelChanged], cut: int) -> None:
    before: Alerts = {}
    middle, first = decisions.follow(before, passing[:cut], NOW)
    end, second = decisions.follow(middle, passing[cut:], NOW)
    assert (end, first + second) == decisions.follow(before, passing, NOW)


@given(st.sets(st.sampled_from(["low", "out", "over"])), levels)
def test_the_same_level_again_is_not_told_again(active: set[Kind], level: StockLevelChanged) -> None:
    change = judge(active, level)
    assert judge((active - change.cleared) | change.raised, level) == crossing()
