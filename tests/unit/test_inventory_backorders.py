"""Orders that wait for stock: first come, first served, all lines or none, and nothing promised twice."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backbone.events.payload import Payload
from services.inventory import decisions
from services.inventory.backorders import Waiting, supply
from services.inventory.decisions import Fact, Outcome, Reservation, Stock
from services.inventory.events import (
    Availability,
    BackorderWithdrawn,
    OrderCancelled,
    OrderCompleted,
    OrderLine,
    OrderPlaced,
    OrderRejected,
    Shortage,
    StockBackordered,
    StockLine,
    StockRejected,
    StockReserved,
)
from services.inventory.levels import Level, adjust, retire
from services.inventory.shortages import Crossing, Use, crossed, crossings, with_recipe
from tests.told import told
from tests.unit.test_inventory_decisions import RECIPES, SKUS, level, levels_told

PATIENT = ("margherita", "bruschetta", "cola")


def placed(order: str, *lines: OrderLine, patient: Iterable[str] = PATIENT) -> OrderPlaced:
    items = {line.item for line in lines}
    return OrderPlaced(order=order, lines=lines, back_orderable=tuple(sorted(items.intersection(patient))))


def cola(order: str, quantity: int, patient: Iterable[str] = PATIENT) -> OrderPlaced:
    return placed(order, OrderLine("cola", quantity), patient=patient)


def after(stock: Stock, *facts: Fact) -> Stock:
    return decisions.fold(stock, RECIPES, facts)[0]


def said(stock: Stock, fact: Fact) -> list[Payload]:
    [outcome] = decisions.fold(stock, RECIPES, [fact])[1]
    return [*told(outcome.order), *(each for served in outcome.served.values() for each in told(served))]


def restocked(stock: Stock, sku: str, change: int) -> tuple[Stock, Outcome]:
    return decisions.restock(stock, sku, adjust(stock.levels[sku], change), "supplier", "delivered")


def test_an_order_of_what_customers_wait_for_waits_and_is_promised_nothing() -> None:
    stock = Stock({"cola": level(3)}, {})
    assert said(stock, cola("o-1", 4)) == [
        StockBackordered(order="o-1", lines=(StockLine("cola", 4),), short=(Shortage("cola", 4, 3),))
    ]
    waiting = after(stock, cola("o-1", 4))
    assert (waiting.levels, waiting.reservations) == (stock.levels, {})
    assert waiting.waiting == {"o-1": (StockLine("cola", 4),)}


def test_a_delivery_serves_who_waited_and_tells_every_step_of_the_level() -> None:
    stock = after(Stock({"cola": level(3)}, {}), cola("o-1", 4), cola("o-2", 5))
    served, outcome = restocked(stock, "cola", 5)
    assert list(outcome.served) == ["o-1"]
    assert served.waiting == {"o-2": (StockLine("cola", 5),)}
    assert served.reservations == {"o-1": Reservation((StockLine("cola", 4),))}
    assert [told(each) for each in outcome.served.values()] == [
        [StockReserved(order="o-1", lines=(StockLine("cola", 4),))]
    ]
    shown = [(change.before, change.after.available, change.channel) for change in levels_told(outcome.levels)]
    assert shown == [(Availability(3), 8, "supplier"), (Availability(8), 4, "orders")]


@pytest.mark.parametrize("patient", [(), ("cola",), ("margherita",)])
def test_an_order_is_rejected_when_a_short_sku_is_needed_for_what_nobody_waits_for(patient: tuple[str, ...]) -> None:
    stock = Stock({"cola": level(0), "dough": level(0), "basil": level(9)}, {})
    order = placed("o-1", OrderLine("cola", 1), OrderLine("margherita", 1), patient=patient)
    assert [type(each) for each in said(stock, order)] == [StockRejected]


@pytest.mark.parametrize("levels", [{}, {"cola": retire("cola", level(0), [], "ann").state}])
def test_nobody_waits_for_what_is_not_kept(levels: dict[str, Level]) -> None:
    assert [type(each) for each in said(Stock(levels, {}), cola("o-1", 1))] == [StockRejected]


def test_a_later_order_does_not_pass_one_that_waits_for_the_same_even_where_there_is_enough_for_it() -> None:
    stock = after(Stock({"cola": level(3)}, {}), cola("o-1", 4))
    assert [type(each) for each in said(stock, cola("o-2", 1))] == [StockBackordered]
    [rejected] = said(stock, cola("o-3", 1, patient=()))
    assert isinstance(rejected, StockRejected)
    assert rejected.short == (Shortage("cola", 1, 0),)


def test_a_later_order_passes_one_that_waits_for_something_else() -> None:
    stock = Stock({"cola": level(0), "basil": level(9), "dough": level(9)}, {})
    stock = after(stock, placed("o-1", OrderLine("cola", 1), OrderLine("bruschetta", 2)))
    assert [type(each) for each in said(stock, placed("o-2", OrderLine("bruschetta", 9)))] == [StockReserved]
    # Now the first lacks basil as well, and nobody passes it for that.
    stock = after(stock, placed("o-2", OrderLine("bruschetta", 9)))
    _, outcome = restocked(after(stock, placed("o-3", OrderLine("bruschetta", 1))), "basil", 1)
    assert outcome.served == {}


def test_an_order_that_gives_up_waiting_frees_its_place_and_those_behind_it() -> None:
    stock = after(Stock({"cola": level(3)}, {}), cola("o-1", 4), cola("o-2", 2), cola("o-3", 2))
    assert said(stock, OrderCancelled(order="o-1")) == [
        BackorderWithdrawn(order="o-1"),
        StockReserved(order="o-2", lines=(StockLine("cola", 2),)),
    ]
    cancelled = after(stock, OrderCancelled(order="o-1"))
    assert cancelled.waiting == {"o-3": (StockLine("cola", 2),)}
    assert cancelled.reservations["o-1"] == Reservation((), "released")
    assert said(cancelled, OrderCancelled(order="o-1")) == []


def test_released_stock_serves_who_waits() -> None:
    stock = after(Stock({"cola": level(5)}, {}), cola("o-1", 5), cola("o-2", 2), cola("o-3", 3))
    outcome = decisions.fold(stock, RECIPES, [OrderRejected(order="o-1")])[1][0]
    assert list(outcome.served) == ["o-2", "o-3"]
    assert [change.after.available for change in levels_told(outcome.levels)] == [5, 3, 0]


def test_an_order_that_has_left_the_house_does_not_wait() -> None:
    stock = after(Stock({"cola": level(1)}, {}), OrderCompleted(order="o-1"))
    assert [type(each) for each in said(stock, cola("o-1", 2))] == [StockRejected]


def test_an_order_that_is_heard_of_late_comes_where_it_was_placed() -> None:
    stock = after(Stock({"cola": level(3)}, {}), cola("o-2", 4), cola("o-1", 5))
    assert [type(each) for each in said(stock, cola("o-0", 3))] == [StockReserved]
    assert list(restocked(stock, "cola", 2)[1].served) == ["o-1"]


def test_an_order_waits_once() -> None:
    stock = after(Stock({"cola": level(1)}, {}), cola("o-1", 2))
    assert said(stock, cola("o-1", 2)) == []


items = st.sampled_from(PATIENT)
lines = st.lists(st.builds(OrderLine, items, st.integers(1, 20)), min_size=1, max_size=3).map(tuple)
orders = st.sampled_from([f"o-{number}" for number in range(6)])
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(OrderPlaced, order=orders, lines=lines, back_orderable=st.just(PATIENT)),
    st.builds(OrderPlaced, order=orders, lines=lines, back_orderable=st.just(PATIENT)),
    st.builds(OrderPlaced, order=orders, lines=lines, back_orderable=st.just(())),
    st.builds(OrderCancelled, order=orders),
    st.builds(OrderCompleted, order=orders),
)
deliveries = st.tuples(st.sampled_from(SKUS), st.integers(1, 40))


def servable(levels: dict[str, Level], waiting: Waiting) -> list[str]:
    """Say plainly who could be served now, each alone: nothing it needs is lacking, or waited for by an earlier one."""

    def lacks(order: str) -> set[str]:
        return {line.sku for line in waiting[order] if levels[line.sku].available < line.quantity}

    def is_free(order: str) -> bool:
        needed = {line.sku for line in waiting[order]}
        return not lacks(order) and all(needed.isdisjoint(lacks(earlier)) for earlier in waiting if earlier < order)

    return [order for order in sorted(waiting) if is_free(order)]


@given(st.lists(st.one_of(facts, deliveries), max_size=25))
def test_whatever_happens_nobody_waits_who_need_not_and_nothing_is_promised_twice(
    happened: list[Fact | tuple[str, int]],
) -> None:
    stock = Stock({sku: level(10) for sku in SKUS}, {})
    shown = dict.fromkeys(SKUS, 10)
    for each in happened:
        if isinstance(each, tuple):
            stock, outcome = restocked(stock, *each)
        else:
            stock, [outcome] = decisions.fold(stock, RECIPES, [each])
        for change in levels_told(outcome.levels):
            assert change.before == Availability(shown[change.sku])
            shown[change.sku] = change.after.available
        assert servable(dict(stock.levels), stock.waiting) == []
        assert stock.waiting.keys().isdisjoint(stock.reservations)
    promised = [line for each in stock.reservations.values() if each.status == "open" for line in each.lines]
    for sku, now in stock.levels.items():
        assert now.available == shown[sku] >= 0
        assert now.reserved == sum(line.quantity for line in promised if line.sku == sku)


@given(st.dictionaries(orders, lines), st.fixed_dictionaries({sku: st.integers(0, 60).map(level) for sku in SKUS}))
def test_those_who_wait_are_served_as_if_one_by_one_the_earliest_first(
    wanted: dict[str, tuple[OrderLine, ...]], levels: dict[str, Level]
) -> None:
    waiting = {order: decisions.needs(RECIPES, each) for order, each in wanted.items()}
    left, expected = dict(waiting), []
    now = dict(levels)
    while free := servable(now, left):
        order = free[0]
        expected.append(order)
        for line in left.pop(order):
            now[line.sku] = replace(now[line.sku], reserved=now[line.sku].reserved + line.quantity)
    supplied = list(supply(levels, waiting))
    assert [each.order for each in supplied] == expected
    assert {**levels, **{sku: new for each in supplied for sku, new in each.after.items()}} == now


def test_an_item_is_short_when_one_piece_of_it_cannot_be_made() -> None:
    use = Use("margherita", "basil", 2)
    assert crossed(Crossing("basil", 2, 2), use) is None
    for before, now, short in [(2, 1, True), (1, 0, None), (0, 1, None), (1, 2, False), (9, 2, None)]:
        event = crossed(Crossing("basil", before, now), use)
        assert (event and event.short) == short


def test_a_level_that_no_recipe_can_find_short_is_not_looked_at() -> None:
    before = {"basil": level(5000), "cola": level(5), "dough": level(5)}
    now = before | {"basil": level(4000), "cola": level(0), "new": level(0)}
    assert crossings(before, now) == [Crossing("cola", 5, 0), Crossing("new", 1000, 0)]


def test_a_recipe_tells_what_its_item_is_short_of_by_it_and_what_no_more() -> None:
    levels = {"basil": level(1), "cola": level(0), "dough": level(9)}
    was, now = [StockLine("cola", 1), StockLine("dough", 1)], [StockLine("basil", 2), StockLine("dough", 2)]
    told_of = [(each.item, each.sku, each.short) for each in with_recipe("pie", was, now, levels)]
    assert told_of == [("pie", "basil", True), ("pie", "cola", False)]
    assert with_recipe("pie", now, [StockLine("pie", 1)], levels | {"basil": level(9)}) == []
