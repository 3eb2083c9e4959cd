"""One alert per crossing."""

from collections.abc import Iterable, Set
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.decision import Decision, Start
from backbone.events.payload import Payload
from services.alerts import decisions
from services.alerts.decisions import (
    FEW,
    QUIET,
    Alert,
    Alerts,
    Crossing,
    end_quiet,
    judge,
    low_clears_at,
    over_clears_at,
)
from services.alerts.events import (
    Availability,
    Kind,
    SkuRetired,
    StockAlertCleared,
    StockAlertRaised,
    StockLevelChanged,
)
from tests.told import told

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NOTHING: frozenset[Kind] = frozenset()


def at(available: int, threshold: int = 100, ceiling: int = 1000) -> StockLevelChanged:
    return StockLevelChanged(
        sku="dough", after=Availability(available), threshold=threshold, ceiling=ceiling, channel="orders"
    )


def crossing(*, raised: Set[Kind] = NOTHING, cleared: Set[Kind] = NOTHING) -> Crossing:
    return Crossing(frozenset(raised), frozenset(cleared))


HOUR = timedelta(hours=1)


def fold(alerts: Alerts, levels: Iterable[StockLevelChanged], now: datetime) -> tuple[Alerts, list[Payload]]:
    """The alerts after all levels in their order, and all that is told."""
    events: list[Payload] = []
    for level in levels:
        decision = decisions.follow(alerts, level, now)
        alerts = decision.state
        events += told(decision)
    return alerts, events


def follow(*levels: StockLevelChanged) -> list[str]:
    """What is told while the levels go by, hours apart: +kind for raised, -kind for cleared."""
    alerts: Alerts = {}
    events: list[Payload] = []
    for hours, level in enumerate(levels):
        now = NOW + hours * HOUR
        quiet_over = {kind: end_quiet(each, HOUR, now).state for kind, each in alerts.items()}
        alerts, of_level = fold(quiet_over, [level], now)
        events += of_level
    return signs(events)


def at_once(*levels: StockLevelChanged) -> tuple[Alerts, list[str]]:
    """The same within a moment."""
    alerts, events = fold({}, levels, NOW)
    return alerts, signs(events)


def signs(events: Iterable[Payload]) -> list[str]:
    alerts = (each for each in events if isinstance(each, StockAlertRaised | StockAlertCleared))
    return [("+" if isinstance(each, StockAlertRaised) else "-") + each.kind for each in alerts]


def again(due: datetime, kind: Kind = "low") -> tuple[Start, ...]:
    """The quiet time begins, or goes on until then."""
    return (Start(QUIET, f"dough {kind}", {"sku": "dough", "kind": kind}, due),)


def test_low_begins_at_the_threshold_and_not_above_it() -> None:
    assert judge(NOTHING, at(101)) == crossing()
    assert judge(NOTHING, at(100)) == crossing(raised={"low"})


def test_low_is_told_once_and_not_per_sale() -> None:
    assert follow(at(101), at(100), at(99), at(50), at(1)) == ["+low"]


def test_stock_that_swings_around_the_threshold_is_told_once() -> None:
    assert follow(at(100), at(101), at(100), at(109), at(100)) == ["+low"]


def test_low_ends_a_tenth_above_the_threshold_and_can_then_begin_again() -> None:
    assert follow(at(100), at(109), at(110), at(100)) == ["+low", "-low", "+low"]


@pytest.mark.parametrize(("threshold", "clears"), [(0, 3), (1, 4), (10, 13), (15, 18), (31, 35), (100, 110)])
def test_low_ends_a_tenth_above_and_a_few_pieces_at_least(threshold: int, clears: int) -> None:
    assert low_clears_at(threshold) == clears


@pytest.mark.parametrize(("ceiling", "clears"), [(0, 0), (2, 0), (10, 7), (31, 27), (100, 90), (1000, 900)])
def test_over_ends_a_tenth_below_and_a_few_pieces_at_least(ceiling: int, clears: int) -> None:
    assert over_clears_at(ceiling) == clears


FLAPPING = [
    (at(100, 10, 100), at(101, 10, 100)),
    (at(11, 10), at(10, 10)),
    (at(1), at(0)),
    (at(2, 0), at(0, 0)),
    (at(1, 1), at(2, 1)),
    (at(4, 1, 4), at(6, 1, 4)),
]
"""Two levels each, at a line and beside it."""


@pytest.mark.parametrize("levels", FLAPPING, ids=str)
def test_stock_that_swings_by_a_piece_or_two_for_hours_is_told_of_a_kind_once(
    levels: tuple[StockLevelChanged, ...],
) -> None:
    seen = follow(*levels * 10)
    assert len(seen) == len(set(seen)) <= 2
    assert not [each for each in seen if each.startswith("-")]


def test_whatever_is_told_as_raised_begins_a_quiet_time() -> None:
    raised = decisions.follow({}, at(50), NOW)
    assert raised.start == (Start(QUIET, "dough low", {"sku": "dough", "kind": "low"}),)
    assert decisions.follow(raised.state, at(500), NOW).start == ()


def test_the_same_again_within_the_quiet_time_is_counted_and_not_told() -> None:
    alerts, told = at_once(*[at(50), at(500)] * 5, at(50))
    assert told == ["+low", "-low"]
    assert alerts["low"].held == 5
    assert alerts["low"].active


def test_after_the_quiet_time_it_is_told_how_often_it_happened() -> None:
    alerts, _ = at_once(*[at(50), at(500)] * 5, at(40))
    decision = end_quiet(alerts["low"], HOUR, NOW + HOUR)
    [raised] = decision.events
    after = decision.state
    assert isinstance(raised, StockAlertRaised)
    assert (raised.kind, raised.available, raised.times) == ("low", 40, 5)
    assert (after.held, after.quiet_since) == (0, NOW + HOUR)
    assert decision.start == again(NOW + 2 * HOUR)
    assert signs(told(decisions.follow({"low": after}, at(500), NOW + HOUR))) == ["-low"]


def test_what_was_held_back_and_is_over_is_told_as_both() -> None:
    alerts, _ = at_once(*[at(1001), at(500)] * 3)
    events = told(end_quiet(alerts["over"], HOUR, NOW + HOUR))
    assert signs(events) == ["+over", "-over"]
    assert [getattr(each, "available", None) for each in events] == [1001, 500]


def test_the_quiet_time_ends_without_a_word_where_nothing_was_held_back() -> None:
    alerts, _ = at_once(at(0))
    decision = end_quiet(alerts["out"], HOUR, NOW + HOUR)
    after = decision.state
    assert (decision, after.quiet_since, after.active) == (Decision(after), None, True)
    assert end_quiet(after, HOUR, NOW + HOUR) == Decision(after)


def test_the_quiet_time_is_not_over_before_its_end() -> None:
    alerts, _ = at_once(at(50), at(500), at(50))
    alert = alerts["low"]
    assert end_quiet(alert, HOUR, NOW + HOUR - timedelta(seconds=1)) == Decision(alert, start=again(NOW + HOUR))


def test_kinds_and_skus_are_quiet_for_themselves() -> None:
    _, told = at_once(at(50), at(500), at(0), at(500), at(1001))
    assert told == ["+low", "-low", "+out", "-out", "+over"]


def test_low_does_not_begin_while_out_lingers() -> None:
    assert follow(at(0), at(FEW - 1), at(FEW)) == ["+out", "-out", "+low"]


def test_an_alert_of_the_first_release_is_gone_on_with() -> None:
    alert = Alert(
        sku="dough", kind="low", active=True, available=50, threshold=100, ceiling=1000, channel="orders",
        raised_at=NOW, cleared_at=None,
    )  # fmt: skip
    _, events = fold({"low": alert}, [at(500), at(50)], NOW)
    assert signs(events) == ["-low", "+low"]


def test_a_fall_through_the_threshold_straight_to_nothing_is_told_once_as_out() -> None:
    assert follow(at(500), at(0)) == ["+out"]


def test_low_stays_while_the_last_pieces_go_and_come_back() -> None:
    assert follow(at(100), at(0), at(3), at(110)) == ["+low", "+out", "-out", "-low"]


def test_too_small_a_delivery_after_out_is_low() -> None:
    assert follow(at(0), at(3)) == ["+out", "-out", "+low"]


def test_a_large_delivery_after_out_leaves_nothing_active() -> None:
    assert follow(at(0), at(500)) == ["+out", "-out"]


def test_over_begins_above_the_ceiling_and_ends_a_tenth_below_it() -> None:
    assert follow(at(1000), at(1001), at(2000), at(901), at(900)) == ["+over", "-over"]


def test_new_limits_raise_and_clear_too() -> None:
    assert follow(at(50, threshold=10), at(50, threshold=60), at(50, threshold=45)) == ["+low", "-low"]
    assert follow(at(500), at(500, ceiling=400), at(500)) == ["+over", "-over"]


def test_a_threshold_of_nothing_never_warns_of_low() -> None:
    assert follow(at(1, threshold=0), at(0, threshold=0), at(3, threshold=0)) == ["+out", "-out"]


levels = st.builds(at, st.integers(0, 30), st.integers(0, 20), st.integers(0, 40))


@given(st.lists(levels, max_size=30))
def test_nothing_is_active_of_a_sku_that_is_retired_and_what_was_told_is_told_to_be_over(
    passing: list[StockLevelChanged],
) -> None:
    alerts, before = fold({}, passing, NOW)
    decision = decisions.retired(alerts, SkuRetired(sku="dough"), NOW)
    assert not [each for each in decision.state.values() if each.active]
    seen = [*before, *told(decision)]
    for kind in ("low", "out", "over"):
        kinds = [type(each) for each in seen if getattr(each, "kind", None) == kind]
        assert kinds.count(StockAlertRaised) == kinds.count(StockAlertCleared)


def test_a_sku_without_alerts_is_retired_in_silence() -> None:
    assert decisions.retired(None, SkuRetired(sku="dough"), NOW) == Decision({})


@given(st.lists(levels, max_size=30))
def test_raised_and_cleared_take_turns_for_every_kind(passing: list[StockLevelChanged]) -> None:
    for seen in (follow(*passing), at_once(*passing)[1]):
        for kind in ("low", "out", "over"):
            found = [each[0] for each in seen if each[1:] == kind]
            assert found == ["+", "-"] * (len(found) // 2) + ["+"] * (len(found) % 2)


@given(st.lists(levels, max_size=12), st.integers(0, 12))
def test_levels_followed_at_once_come_to_the_same_as_in_two_parts(passing: list[StockLevelChanged], cut: int) -> None:
    before: Alerts = {}
    middle, first = fold(before, passing[:cut], NOW)
    end, second = fold(middle, passing[cut:], NOW)
    assert (end, first + second) == fold(before, passing, NOW)


@given(st.sets(st.sampled_from(["low", "out", "over"])), levels)
def test_the_same_level_again_is_not_told_again(active: set[Kind], level: StockLevelChanged) -> None:
    change = judge(active, level)
    assert judge((active - change.cleared) | change.raised, level) == crossing()
