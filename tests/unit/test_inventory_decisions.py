"""Stock decisions: all lines or none, and counts that always add up."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import UNSET
from msgspec.structs import replace

from backbone.decision import Decision
from backbone.events.payload import Payload
from services.inventory import decisions, levels, recipes
from services.inventory.decisions import (
    Fact,
    Outcome,
    Rejected,
    Reservation,
    Reserved,
    Stock,
)
from services.inventory.events import (
    Availability,
    OrderCancelled,
    OrderCompleted,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    Recipe,
    RecipeChanged,
    Shortage,
    SkuRetired,
    StockLevelChanged,
    StockLine,
)
from services.inventory.levels import CrossedLimits, Kept, Level, NotEnough, StillNeeded
from tests.told import told

SKUS = ("basil", "cola", "dough")
RECIPES = {
    "margherita": (StockLine("dough", 1), StockLine("basil", 2)),
    "bruschetta": (StockLine("basil", 1),),
}


def level(on_hand: int, threshold: int = 5, ceiling: int = 1000) -> Level:
    return Level(on_hand, 0, 0, on_hand, 0, threshold, ceiling)


def reserved(stock: Mapping[str, Level], *lines: OrderLine) -> Reserved:
    return cast(Reserved, decisions.reserve(stock, RECIPES, lines))


def retired(level: Level) -> Level:
    return levels.retire("cola", level, [], "ann").state


def levels_told(changes: Mapping[str, Decision[Level]]) -> list[StockLevelChanged]:
    payloads = (payload for decision in changes.values() for payload in told(decision))
    return [payload for payload in payloads if isinstance(payload, StockLevelChanged)]


def all_told(outcome: Outcome) -> list[Payload]:
    return [*told(outcome.order), *levels_told(outcome.levels)]


def test_lines_are_multiplied_by_the_recipe_and_added_up_by_sku() -> None:
    lines = [OrderLine("margherita", 3), OrderLine("bruschetta", 4)]
    assert decisions.needs(RECIPES, lines) == (StockLine("basil", 10), StockLine("dough", 3))


def test_an_item_without_a_recipe_is_its_own_sku() -> None:
    assert decisions.needs(RECIPES, [OrderLine("cola", 2)]) == (StockLine("cola", 2),)


def test_the_same_item_on_two_lines_is_needed_once_in_sum() -> None:
    assert decisions.needs({}, [OrderLine("cola", 2), OrderLine("cola", 3)]) == (StockLine("cola", 5),)


def test_a_hundred_of_a_hundred_can_be_reserved() -> None:
    decision = decisions.reserve({"cola": level(100)}, {}, [OrderLine("cola", 100)])
    assert isinstance(decision, Reserved)
    assert decision.levels["cola"].available == 0


def test_a_hundred_of_ninety_nine_are_refused_and_it_is_said_what_is_short() -> None:
    decision = decisions.reserve({"cola": level(99)}, {}, [OrderLine("cola", 100)])
    assert decision == Rejected((StockLine("cola", 100),), (Shortage("cola", 100, 99),))


def test_one_short_line_refuses_all() -> None:
    stock = {"cola": level(5), "dough": level(1), "basil": level(100)}
    decision = decisions.reserve(stock, RECIPES, [OrderLine("cola", 1), OrderLine("margherita", 2)])
    assert isinstance(decision, Rejected)
    assert decision.short == (Shortage("dough", 2, 1),)
    assert [line.sku for line in decision.lines] == ["basil", "cola", "dough"]


def test_an_unknown_sku_is_short_with_nothing_available() -> None:
    decision = decisions.reserve({}, {}, [OrderLine("unicorn", 1)])
    assert isinstance(decision, Rejected)
    assert decision.short == (Shortage("unicorn", 1, 0),)


def test_what_is_reserved_cannot_be_reserved_again() -> None:
    stock = reserved({"cola": level(10)}, OrderLine("cola", 7)).levels
    decision = decisions.reserve(stock, {}, [OrderLine("cola", 4)])
    assert isinstance(decision, Rejected)
    assert decision.short == (Shortage("cola", 4, 3),)


def test_release_undoes_a_reservation() -> None:
    before = {"cola": level(10)}
    decision = reserved(before, OrderLine("cola", 7))
    assert levels.release(decision.levels, decision.lines) == before


def test_a_sale_takes_reserved_pieces_out_of_the_house_and_leaves_what_is_available() -> None:
    decision = reserved({"cola": level(10)}, OrderLine("cola", 7))
    sold = levels.sell(decision.levels, decision.lines)["cola"]
    assert (sold.on_hand, sold.reserved, sold.sold, sold.available) == (3, 0, 7, 3)


def test_an_adjustment_may_take_all_that_is_available_but_nothing_that_is_promised() -> None:
    stock = reserved({"cola": level(10)}, OrderLine("cola", 7)).levels
    assert levels.adjust(stock["cola"], -3).available == 0
    with pytest.raises(NotEnough) as refused:
        levels.adjust(stock["cola"], -4)
    assert refused.value.level.available == 3


def test_a_count_counts_as_the_difference() -> None:
    counted = levels.count(level(10), 500)
    assert (counted.on_hand, counted.adjusted) == (500, 490)
    with pytest.raises(NotEnough):
        levels.count(reserved({"cola": level(10)}, OrderLine("cola", 7)).levels["cola"], 6)


def test_a_limit_that_is_not_given_stays() -> None:
    changed = levels.limit(level(10, threshold=5, ceiling=50), 0, None)
    assert (changed.threshold, changed.ceiling) == (0, 50)
    assert levels.limit(changed, None, 60).ceiling == 60


def test_a_change_is_told_with_what_was_and_what_is_available() -> None:
    before = {"cola": level(10), "dough": level(10)}
    after = before | {"cola": levels.adjust(before["cola"], -4)}
    [change] = levels_told(levels.changes(before, after, "shop-till", "sold"))
    assert (change.sku, change.before, change.after) == ("cola", Availability(10), Availability(6))
    assert (change.threshold, change.ceiling, change.channel, change.reason) == (5, 1000, "shop-till", "sold")


def test_a_sku_that_is_added_begins_with_its_first_level_and_no_before() -> None:
    added = levels.add(None, on_hand=40, threshold=5, ceiling=1000)
    assert (added.on_hand, added.initial, added.adjusted, added.available) == (40, 40, 0, 40)
    [begun] = levels_told({"capers": levels.begins("capers", added, "added by ann")})
    assert (begun.sku, begun.before, begun.after, begun.channel) == ("capers", UNSET, Availability(40), "staff")


def test_a_sku_is_added_once_and_its_limits_may_not_cross() -> None:
    with pytest.raises(Kept):
        levels.add(level(0), on_hand=1, threshold=5, ceiling=1000)
    with pytest.raises(CrossedLimits):
        levels.add(None, on_hand=1, threshold=5, ceiling=4)


def test_a_sku_that_is_added_again_goes_on_from_what_it_had_sold() -> None:
    sold_out = levels.sell({"cola": replace(level(10), reserved=10)}, [StockLine("cola", 10)])["cola"]
    again = levels.add(retired(sold_out), on_hand=7, threshold=1, ceiling=9)
    assert (again.on_hand, again.sold, again.retired) == (7, 10, False)
    assert again.on_hand + again.sold == again.initial + again.adjusted
    assert (again.threshold, again.ceiling) == (1, 9)


@pytest.mark.parametrize(
    ("kept", "needed_by", "why"),
    [
        (level(10), [], "10 are on hand: take them away by an adjustment first."),
        (replace(level(10), reserved=4), [], "10 are on hand, 4 of them reserved for orders."),
        (level(0), ["margherita", "marinara"], "The recipe of margherita, marinara needs it: change that first."),
    ],
    ids=str,
)
def test_what_is_still_needed_is_not_retired(kept: Level, needed_by: list[str], why: str) -> None:
    with pytest.raises(StillNeeded, match=re.escape(why)):
        levels.retire("cola", kept, needed_by, "ann")


def test_an_order_of_a_retired_sku_is_rejected_for_want_of_it() -> None:
    gone = retired(level(0))
    outcome = decisions.reserve({"cola": gone}, {}, [OrderLine("cola", 1)])
    assert isinstance(outcome, decisions.Rejected)
    assert [(each.sku, each.available) for each in outcome.short] == [("cola", 0)]


def test_a_retired_sku_is_told_with_who_retired_it() -> None:
    assert told(levels.retire("cola", level(0), [], "ann")) == [SkuRetired(sku="cola", by="ann")]


def test_a_recipe_is_told_with_what_was_and_what_is_and_only_when_it_changed() -> None:
    old, new = RECIPES["margherita"], RECIPES["bruschetta"]
    for before, after in ((None, new), (old, new), (old, None)):
        decision = recipes.change_recipe("margherita", before, after, "ann")
        [event] = told(decision)
        assert isinstance(event, RecipeChanged)
        assert event.before == (UNSET if before is None else Recipe(before))
        assert event.after == (UNSET if after is None else Recipe(after))
        assert (decision.state, event.item, event.by) == (after, "margherita", "ann")
    assert told(recipes.change_recipe("margherita", old, old, "ann")) == []


def test_new_limits_are_told_too() -> None:
    before = {"cola": level(10)}
    after = {"cola": levels.limit(before["cola"], 9, 99)}
    [change] = levels_told(levels.changes(before, after, "staff", "limits set"))
    assert (change.before, change.after) == (Availability(10), Availability(10))
    assert (change.threshold, change.ceiling) == (9, 99)


def test_a_sale_is_not_told_because_nothing_that_shows_has_changed() -> None:
    decision = reserved({"cola": level(10)}, OrderLine("cola", 7))
    sold = levels.sell(decision.levels, decision.lines)
    assert levels_told(levels.changes(decision.levels, sold, "orders", "completed")) == []


items = st.sampled_from(["margherita", "bruschetta", "cola", "unicorn"])
order_lines = st.lists(st.builds(OrderLine, items, st.integers(1, 40)), min_size=1, max_size=4)


@given(st.fixed_dictionaries({sku: st.integers(0, 100).map(level) for sku in SKUS}), order_lines)
def test_an_order_gets_all_it_needs_or_nothing(stock: dict[str, Level], lines: list[OrderLine]) -> None:
    needed = {line.sku: line.quantity for line in decisions.needs(RECIPES, lines)}
    enough = all(sku in stock and stock[sku].available >= quantity for sku, quantity in needed.items())
    decision = decisions.reserve(stock, RECIPES, lines)
    assert isinstance(decision, Reserved) == enough
    if isinstance(decision, Reserved):
        taken = {sku: stock[sku].available - after.available for sku, after in decision.levels.items()}
        assert taken == needed


orders = st.sampled_from(["o-1", "o-2", "o-3"])
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(OrderPlaced, order=orders, lines=order_lines.map(tuple)),
    st.builds(OrderRejected, order=orders),
    st.builds(OrderCancelled, order=orders),
    st.builds(OrderCompleted, order=orders),
)


@given(st.lists(facts, max_size=12), st.sets(st.integers(1, 11)))
def test_facts_folded_at_once_come_to_the_same_as_in_any_parts(happened: list[Fact], cuts: set[int]) -> None:
    stock = Stock({sku: level(60) for sku in SKUS}, {})
    at_once, decided_at_once = decisions.fold(stock, RECIPES, happened)
    borders = [0, *sorted(cuts), len(happened)]
    decided_in_parts = []
    for start, end in pairwise(borders):
        stock, outcomes = decisions.fold(stock, RECIPES, happened[start:end])
        decided_in_parts += outcomes
    assert (stock, decided_in_parts) == (at_once, decided_at_once)


@given(st.lists(facts, max_size=12))
def test_what_is_told_of_levels_leads_from_the_first_to_the_last_without_a_gap(happened: list[Fact]) -> None:
    stock = Stock({sku: level(60) for sku in SKUS}, {})
    after, outcomes = decisions.fold(stock, RECIPES, happened)
    shown = {sku: each.available for sku, each in stock.levels.items()}
    for change in (change for outcome in outcomes for change in levels_told(outcome.levels)):
        assert change.before == Availability(shown[change.sku])
        shown[change.sku] = change.after.available
    assert shown == {sku: each.available for sku, each in after.levels.items()}


def test_an_order_that_is_placed_and_cancelled_in_one_go_is_told_as_both() -> None:
    placed = OrderPlaced(order="o-1", lines=(OrderLine("cola", 60),))
    again = OrderPlaced(order="o-2", lines=(OrderLine("cola", 1),))
    stock = Stock({"cola": level(60)}, {})
    after, outcomes = decisions.fold(stock, {}, [placed, again, OrderCancelled(order="o-1")])
    assert [type(each).__name__ for outcome in outcomes for each in all_told(outcome)] == [
        "StockReserved",
        "StockLevelChanged",
        "StockRejected",
        "StockReleased",
        "StockLevelChanged",
    ]
    assert after.levels == stock.levels
    assert after.reservations == {"o-1": Reservation((StockLine("cola", 60),), "released")}


def test_an_order_is_reserved_once() -> None:
    placed = OrderPlaced(order="o-1", lines=(OrderLine("cola", 1),))
    after, outcomes = decisions.fold(Stock({"cola": level(60)}, {}), {}, [placed, OrderRejected(order="o-1"), placed])
    assert after.levels["cola"].available == 60
    assert outcomes[2] == Outcome()


class Warehouse(RuleBasedStateMachine):
    """Anything may happen to the stock, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.stock: dict[str, Level] = {sku: level(50) for sku in SKUS}
        self.open: list[tuple[StockLine, ...]] = []

    @rule(lines=order_lines)
    def reserve(self, lines: list[OrderLine]) -> None:
        decision = decisions.reserve(self.stock, RECIPES, lines)
        if isinstance(decision, Reserved):
            self.stock |= decision.levels
            self.open.append(decision.lines)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), sale=st.booleans())
    def close(self, data: st.DataObject, sale: bool) -> None:
        lines = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.stock |= levels.sell(self.stock, lines) if sale else levels.release(self.stock, lines)

    @rule(sku=st.sampled_from(SKUS), change=st.integers(-60, 60))
    def adjust(self, sku: str, change: int) -> None:
        try:
            self.stock[sku] = levels.adjust(self.stock[sku], change)
        except NotEnough:
            assert self.stock[sku].available + change < 0

    @rule(sku=st.sampled_from(SKUS), on_hand=st.integers(0, 100))
    def count(self, sku: str, on_hand: int) -> None:
        try:
            self.stock[sku] = levels.count(self.stock[sku], on_hand)
        except NotEnough:
            assert on_hand < self.stock[sku].reserved

    @invariant()
    def counts_add_up_and_are_never_negative(self) -> None:
        promised = [line for lines in self.open for line in lines]
        for sku, now in self.stock.items():
            assert now.on_hand + now.sold == now.initial + now.adjusted
            assert min(now.on_hand, now.reserved, now.sold, now.available) >= 0
            assert now.reserved == sum(line.quantity for line in promised if line.sku == sku)


TestWarehouse = Warehouse.TestCase
