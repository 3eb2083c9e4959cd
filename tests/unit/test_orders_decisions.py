"""Whatever order the facts arrive in, an order has one end, and its status never moves back."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backbone.decision import Start
from backbone.events.payload import Payload
from backbone.values.amounts import LARGEST_PRICE, LARGEST_TOTAL
from services.orders import decisions
from services.orders.decisions import DELAY_WATCH, Decision, NotForSale, TooDear, TooLate
from services.orders.events import (
    Customer,
    Fulfilment,
    Money,
    OrderBackordered,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderConfirmedV1,
    OrderDelayed,
    OrderPaymentDue,
    OrderPlaced,
    OrderRejected,
)
from services.orders.menu import MenuItem
from services.orders.order import ENDS, Buyer, Fact, News, Order, Status
from tests.told import told

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
LIMIT = timedelta(minutes=5)
MENU = {
    "margherita": MenuItem("margherita", "Margherita", Money(1200, "GBP"), baked=True),
    "cola": MenuItem("cola", "Cola", Money(300, "GBP"), baked=False),
}
PATIENT = {**MENU, "margherita": replace(MENU["margherita"], back_orderable=True)}
END_EVENTS = (OrderCompleted, OrderRejected, OrderCancelled)
RANK = {
    Status.PLACED: 0,
    Status.BACKORDERED: 0,
    Status.CONFIRMED: 1,
    Status.CANCELLING: 2,
    Status.PREPARING: 3,
    Status.BAKED: 4,
    Status.READY: 4,
    Status.DISPATCHED: 5,
    Status.COMPLETED: 6,
    Status.REJECTED: 6,
    Status.CANCELLED: 6,
}


def placed(
    fulfilment: Fulfilment = "delivery",
    items: Sequence[tuple[str, int]] = (("margherita", 2),),
    menu: Mapping[str, MenuItem] = MENU,
) -> Decision:
    customer = Customer("ada", "Ada", "ada@example.com")
    basket = decisions.price(items, menu, "GBP")
    return decisions.place("o1", Buyer(customer, fulfilment, "1 Mill Lane"), basket, LIMIT, NOW)


def news(fact: Fact, reason: str | None = None) -> News:
    return News(fact, f"sliceline.test.{fact}.v1", NOW, f"{fact} happened", reason)


class Life:
    """An order from its placing on, with every status it had and everything it published."""

    def __init__(self, start: Decision | None = None) -> None:
        first = start or placed()
        self.order: Order = first.state
        self.statuses = [first.state.status]
        self.published: list[Payload] = []
        self.entries = list(first.entries)
        self._take(first)

    def learn(self, *facts: Fact) -> "Life":
        for fact in facts:
            self._take(decisions.learn(self.order, news(fact), NOW))
        return self

    def cancel(self, reason: str = "changed my mind") -> "Life":
        self._take(decisions.cancel(self.order, reason, NOW))
        return self

    def try_to_cancel(self) -> None:
        try:
            self.cancel()
        except TooLate:
            assert self.order.status not in (Status.PLACED, Status.BACKORDERED, Status.CANCELLING, Status.CANCELLED)

    def count(self, *kinds: type[Payload]) -> int:
        return sum(isinstance(each, kinds) for each in self.published)

    def _take(self, decision: Decision) -> None:
        self.order = decision.state
        self.statuses.append(decision.state.status)
        self.entries += decision.entries
        self.published += told(decision)


def confirmed(start: Decision | None = None) -> Life:
    return Life(start).learn(Fact.STOCK_RESERVED, Fact.PAYMENT_RECEIVED)


def test_an_order_is_placed_at_the_prices_of_the_menu() -> None:
    decision = placed(items=[("margherita", 2), ("cola", 1), ("cola", 3)])
    assert decision.state.total == Money(3600, "GBP")
    assert [line.item for line in decision.state.lines] == ["margherita", "cola", "cola"]
    assert [entry.status for entry in decision.entries] == [Status.PLACED]
    (payload,) = decision.events
    assert decision.start == (Start(DELAY_WATCH, due=NOW + LIMIT),)
    assert isinstance(payload, OrderPlaced)
    assert payload.lines[0].baked
    assert not payload.lines[1].baked


def test_items_that_are_not_on_the_menu_are_named_by_line() -> None:
    with pytest.raises(NotForSale) as refused:
        placed(items=[("cola", 1), ("brick", 1), ("margherita", 1), ("stone", 1)])
    assert refused.value.lines == {1: "is not on the menu", 3: "is not on the menu"}


@pytest.mark.parametrize(
    ("flag", "why"), [("hidden", "is not on the menu"), ("retired", "is not on the menu"), ("sold_out", "is sold out")]
)
def test_an_item_that_is_not_for_sale_is_refused_with_the_reason(flag: str, why: str) -> None:
    menu = {**MENU, "cola": replace(MENU["cola"], **{flag: True})}
    with pytest.raises(NotForSale) as refused:
        placed(items=[("margherita", 1), ("cola", 1)], menu=menu)
    assert refused.value.lines == {1: why}


def test_a_total_may_be_the_largest_and_no_more() -> None:
    menu = {"gold": MenuItem("gold", "Gold", Money(LARGEST_PRICE, "GBP"), baked=False), **MENU}
    most = LARGEST_TOTAL // LARGEST_PRICE
    assert placed(items=[("gold", most)], menu=menu).state.total.amount == LARGEST_TOTAL
    with pytest.raises(TooDear):
        placed(items=[("gold", most), ("cola", 1)], menu=menu)


@pytest.mark.parametrize("facts", [(Fact.STOCK_RESERVED,), (Fact.PAYMENT_RECEIVED,)])
def test_one_good_fact_alone_confirms_nothing(facts: tuple[Fact, ...]) -> None:
    life = Life().learn(*facts)
    assert life.order.status is Status.PLACED
    assert life.count(OrderConfirmed, *END_EVENTS) == 0


def test_both_versions_of_the_confirmation_are_one_happening() -> None:
    decision = decisions.learn(Life().learn(Fact.PAYMENT_RECEIVED).order, news(Fact.STOCK_RESERVED), NOW)
    [versions] = decision.events
    assert isinstance(versions, tuple)
    first, second = versions
    assert isinstance(second, OrderConfirmed)
    assert isinstance(first, OrderConfirmedV1)
    assert (second.total, first.total) == (Money(2400, "GBP"), 2400)
    assert [entry.status for entry in decision.entries] == [Status.PLACED, Status.CONFIRMED]
    assert decision.entries[-1].event == OrderConfirmed.TYPE


def test_a_rejection_says_why() -> None:
    decision = decisions.learn(placed().state, news(Fact.STOCK_REJECTED, "Not enough in stock."), NOW)
    [payload] = told(decision)
    assert isinstance(payload, OrderRejected)
    assert payload.reason == decision.state.reason == "Not enough in stock."
    assert decision.entries[-1].text == "The order is rejected: Not enough in stock."


@pytest.mark.parametrize(
    ("fulfilment", "facts", "statuses"),
    [
        (
            "delivery",
            [Fact.PREPARED, Fact.BAKED, Fact.DISPATCHED, Fact.DELIVERED],
            ["preparing", "baked", "dispatched", "completed"],
        ),
        ("collection", [Fact.PREPARED, Fact.BAKED, Fact.COLLECTED], ["preparing", "ready", "completed"]),
        ("delivery", [Fact.DISPATCHED, Fact.BAKED, Fact.PREPARED], ["dispatched", "dispatched", "dispatched"]),
        ("delivery", [Fact.DELIVERED, Fact.DISPATCHED], ["completed", "completed"]),
    ],
)
def test_a_confirmed_order_goes_as_far_as_its_facts_say(
    fulfilment: Fulfilment, facts: list[Fact], statuses: list[str]
) -> None:
    life = confirmed(placed(fulfilment))
    for fact, status in zip(facts, statuses, strict=True):
        assert life.learn(fact).order.status == status


def test_before_confirmation_a_cancellation_is_decided_at_once() -> None:
    life = Life().learn(Fact.STOCK_RESERVED).cancel()
    assert life.order.status is Status.CANCELLED
    assert life.order.reason == "changed my mind"
    assert life.learn(Fact.PAYMENT_RECEIVED).order.status is Status.CANCELLED
    assert life.count(OrderCancelled) == 1
    assert life.count(OrderConfirmed) == 0


@pytest.mark.parametrize("agreement", [Fact.TICKET_CANCELLED, Fact.DELIVERY_CANCELLED])
def test_after_confirmation_others_decide_and_may_agree(agreement: Fact) -> None:
    life = confirmed().cancel()
    assert life.order.status is Status.CANCELLING
    assert life.count(OrderCancellationRequested) == 1
    assert life.learn(agreement).order.status is Status.CANCELLED
    cancelled = life.published[-1]
    assert isinstance(cancelled, OrderCancelled)
    assert cancelled.reason == "changed my mind"


def test_a_refused_cancellation_leaves_the_order_where_its_facts_are() -> None:
    life = confirmed().cancel().learn(Fact.PREPARED, Fact.CANCELLATION_REFUSED)
    assert life.order.status is Status.PREPARING
    assert life.order.reason is None
    with pytest.raises(TooLate):
        life.cancel()


def test_cancelling_again_changes_nothing() -> None:
    for life in (Life().cancel(), confirmed().cancel()):
        assert decisions.cancel(life.order, "again", NOW) == Decision(life.order)


@pytest.mark.parametrize(
    "life",
    [
        confirmed().learn(Fact.PREPARED),
        confirmed().learn(Fact.DISPATCHED),
        confirmed().learn(Fact.COLLECTED),
        Life().learn(Fact.STOCK_REJECTED),
    ],
    ids=lambda life: str(life.order.status),
)
def test_what_was_started_or_has_ended_is_not_cancelled(life: Life) -> None:
    with pytest.raises(TooLate):
        life.cancel()


def test_an_order_of_what_customers_wait_for_is_due_only_when_its_stock_is_reserved() -> None:
    life = Life(placed(items=[("margherita", 2), ("cola", 1)], menu=PATIENT))
    [payload] = life.published
    assert isinstance(payload, OrderPlaced)
    assert payload.back_orderable == ("margherita",)
    life.learn(Fact.STOCK_RESERVED)
    assert (life.order.status, life.count(OrderPaymentDue)) == (Status.PLACED, 1)
    assert life.learn(Fact.PAYMENT_RECEIVED).order.status is Status.CONFIRMED


def test_an_order_that_waits_for_stock_says_so_and_why_until_it_has_come() -> None:
    start = placed(menu=PATIENT)
    waiting = decisions.learn(start.state, news(Fact.STOCK_SHORT, "No basil."), NOW)
    assert told(waiting) == [OrderBackordered(order="o1", customer=start.state.customer, reason="No basil.")]
    assert (waiting.state.status, waiting.state.reason) == (Status.BACKORDERED, "No basil.")
    assert (waiting.stop, waiting.start) == ((DELAY_WATCH,), ())
    assert decisions.delay(waiting.state, LIMIT, NOW + 9 * LIMIT) is None
    supplied = decisions.learn(waiting.state, news(Fact.STOCK_RESERVED), NOW + 9 * LIMIT)
    assert (supplied.state.status, supplied.state.reason) == (Status.PLACED, None)
    assert supplied.start == (Start(DELAY_WATCH),)
    assert [type(each) for each in told(supplied)] == [OrderPaymentDue]


def test_an_order_that_waits_for_stock_is_cancelled_at_once_for_the_customers_reason() -> None:
    life = Life(placed(menu=PATIENT)).learn(Fact.STOCK_SHORT).cancel("too slow")
    assert (life.order.status, life.order.reason) == (Status.CANCELLED, "too slow")
    life.learn(Fact.BACKORDER_WITHDRAWN)
    assert decisions.expected_for(life.order) == decisions.UNDONE_WITHIN
    assert decisions.expected_for(life.learn(Fact.PAYMENT_UNDONE).order) == timedelta(0)


def watched_on(order: Order) -> Decision:
    return Decision(order, start=(Start(DELAY_WATCH, due=order.stepped_at + LIMIT),))


def test_an_order_that_ends_is_watched_no_more() -> None:
    assert decisions.cancel(placed().state, "changed my mind", NOW).stop == (DELAY_WATCH,)
    assert decisions.learn(placed().state, news(Fact.STOCK_REJECTED), NOW).stop == (DELAY_WATCH,)
    assert decisions.learn(placed().state, news(Fact.STOCK_RESERVED), NOW).stop == ()


def test_a_late_step_is_told_once_and_each_step_anew() -> None:
    order = placed().state
    assert decisions.delay(order, LIMIT, NOW + LIMIT / 2) == watched_on(order)
    late = decisions.delay(order, LIMIT, NOW + LIMIT)
    assert late is not None
    (payload,) = late.events
    assert isinstance(payload, OrderDelayed)
    assert payload.reason == "Still placed after 300 seconds, waiting for stock and payment."
    assert late.state.status is Status.PLACED
    assert decisions.delay(late.state, LIMIT, NOW + 2 * LIMIT) is None
    moved = late.state
    for fact in (Fact.STOCK_RESERVED, Fact.PAYMENT_RECEIVED):
        decision = decisions.learn(moved, news(fact), NOW + 2 * LIMIT)
        moved = decision.state
    assert decision.start == (Start(DELAY_WATCH),)
    assert decisions.delay(moved, LIMIT, NOW + 2.5 * LIMIT) == watched_on(moved)
    assert told(decisions.delay(moved, LIMIT, NOW + 3 * LIMIT) or placed())[0].TYPE == OrderDelayed.TYPE


def test_an_ended_order_is_never_late() -> None:
    assert decisions.delay(Life().cancel().order, LIMIT, NOW + 9 * LIMIT) is None


# What each topic may say about one order, each in its own order; together they need not make sense.
Topics = list[list[Fact]]
MONEY = [
    [Fact.PAYMENT_RECEIVED, Fact.PAYMENT_UNDONE],
    [Fact.PAYMENT_FAILED, Fact.PAYMENT_UNDONE],
    [Fact.PAYMENT_FAILED],
    [Fact.PAYMENT_UNDONE],
    [],
]
STOCK = [
    [Fact.STOCK_RESERVED, Fact.STOCK_RELEASED],
    [Fact.STOCK_SHORT, Fact.STOCK_RESERVED, Fact.STOCK_RELEASED],
    [Fact.STOCK_SHORT, Fact.BACKORDER_WITHDRAWN],
    [Fact.STOCK_REJECTED],
    [],
]
TOPICS = st.tuples(
    st.sampled_from(STOCK),
    st.sampled_from(MONEY),
    st.sampled_from([[Fact.PREPARED, Fact.BAKED], [Fact.TICKET_CANCELLED], []]),
    st.sampled_from([[Fact.DISPATCHED, Fact.DELIVERED], [Fact.COLLECTED], []]),
).map(list)


@st.composite
def arrivals(draw: st.DrawFn, topics: Topics) -> list[Fact]:
    """The facts of all topics mixed, each topic's own order kept."""
    waiting = [deque(topic) for topic in topics]
    turns = draw(st.permutations([number for number, topic in enumerate(topics) for _ in topic]))
    return [waiting[number].popleft() for number in turns]


@settings(deadline=None)
@given(st.data(), TOPICS)
def test_without_a_cancellation_the_end_is_the_same_in_every_order_of_arrival(
    data: st.DataObject, topics: Topics
) -> None:
    one, other = (Life().learn(*data.draw(arrivals(topics))) for _ in range(2))
    assert one.order.status is other.order.status
    assert ended_by(one) == ended_by(other)


def ended_by(life: Life) -> Counter[type[Payload]]:
    """What was published, but for a wait: an end that is heard first overtakes it."""
    return Counter(type(each) for each in life.published if not isinstance(each, OrderBackordered))


@settings(deadline=None)
@given(st.data(), TOPICS)
def test_at_any_point_of_any_arrival_a_cancellation_leaves_one_end_and_no_way_back(
    data: st.DataObject, topics: Topics
) -> None:
    facts = data.draw(arrivals(topics))
    cancelled_at = data.draw(st.integers(0, len(facts)))
    life = Life().learn(*facts[:cancelled_at])
    life.try_to_cancel()
    life.learn(*facts[cancelled_at:])
    assert_sound(life)
    assert life.entries[0].status is Status.PLACED
    assert [entry.event for entry in life.entries if ".test." in entry.event] == [news(fact).event for fact in facts]


def assert_sound(life: Life) -> None:
    ranks = [RANK[status] for status in life.statuses]
    assert ranks == sorted(ranks)
    assert life.count(*END_EVENTS) == (life.order.status in ENDS)
    assert life.count(OrderConfirmed) == life.count(OrderConfirmedV1) <= 1
    if life.count(OrderConfirmed):
        assert {Fact.STOCK_RESERVED, Fact.PAYMENT_RECEIVED} <= life.order.facts
        assert life.order.status is not Status.REJECTED
    else:
        assert life.order.status in (Status.PLACED, Status.BACKORDERED, Status.REJECTED, Status.CANCELLED)


@dataclass
class World:
    """The other services as they behave: each hears orders' events and its topic's in order, at its own time."""

    life: Life
    baked: bool
    in_stock: bool
    paid: bool
    short: bool = False
    waiting: bool = False
    stock: deque[Fact] = field(default_factory=deque)
    payments: deque[Fact] = field(default_factory=deque)
    kitchen: deque[Fact] = field(default_factory=deque)
    delivery: deque[Fact] = field(default_factory=deque)
    heard: int = 0
    confirmed: bool = False
    steps_done: int = 0
    closed: bool = False

    @property
    def steps(self) -> list[Fact]:
        oven = [Fact.PREPARED, Fact.BAKED] if self.baked else []
        return [*oven, Fact.DISPATCHED, Fact.DELIVERED]

    def moves(self) -> Iterator[Callable[[], None]]:
        """Everything that could happen next."""
        if self.heard < len(self.life.published):
            yield self.hear
        if self.confirmed and not self.closed and self.steps_done < len(self.steps):
            yield self.press
        if self.waiting:
            yield self.deliver
        for topic in (self.stock, self.payments, self.kitchen, self.delivery):
            if topic:
                yield partial(self.tell, topic)

    def tell(self, topic: deque[Fact]) -> None:
        self.life.learn(topic.popleft())

    def deliver(self) -> None:
        self.waiting = False
        self.stock.append(Fact.STOCK_RESERVED)

    def press(self) -> None:
        fact = self.steps[self.steps_done]
        (self.kitchen if fact in (Fact.PREPARED, Fact.BAKED) else self.delivery).append(fact)
        self.steps_done += 1

    def hear(self) -> None:
        event = self.life.published[self.heard]
        self.heard += 1
        if isinstance(event, OrderPlaced):
            self.waiting = self.short and self.in_stock
            reserved = Fact.STOCK_SHORT if self.waiting else Fact.STOCK_RESERVED
            self.stock.append(reserved if self.in_stock else Fact.STOCK_REJECTED)
        if isinstance(event, OrderPaymentDue) or (isinstance(event, OrderPlaced) and not event.back_orderable):
            self.payments.append(Fact.PAYMENT_RECEIVED if self.paid else Fact.PAYMENT_FAILED)
        elif isinstance(event, OrderCancelled) and self.waiting:
            self.waiting = False
            self.stock.append(Fact.BACKORDER_WITHDRAWN)
        elif isinstance(event, OrderConfirmed):
            self.confirmed = True
        elif isinstance(event, OrderCancellationRequested):
            self.decide()

    def decide(self) -> None:
        decider = self.kitchen if self.baked else self.delivery
        if self.steps_done:
            decider.append(Fact.CANCELLATION_REFUSED)
        else:
            self.closed = True
            decider.append(Fact.TICKET_CANCELLED if self.baked else Fact.DELIVERY_CANCELLED)


@settings(deadline=None)
@given(
    st.data(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["at once", "waits", "is short"]),
    st.integers(0, 20),
)
def test_however_the_services_interleave_no_order_is_left_without_an_end(
    data: st.DataObject, baked: bool, in_stock: bool, paid: bool, patience: str, cancelled_at: int
) -> None:
    start = placed() if patience == "at once" else placed(menu=PATIENT)
    world = World(Life(start), baked, in_stock, paid, short=patience == "is short")
    for turn in range(100):
        if turn == cancelled_at:
            world.life.try_to_cancel()
        moves = list(world.moves())
        if not moves:
            break
        data.draw(st.sampled_from(moves))()
    assert_sound(world.life)
    assert world.life.order.status in ENDS
    assert (world.life.order.status is Status.COMPLETED) == (world.steps_done == len(world.steps))


@pytest.mark.parametrize(
    ("facts", "more"),
    [
        ((Fact.STOCK_RESERVED, Fact.PAYMENT_RECEIVED), None),
        ((Fact.STOCK_REJECTED,), decisions.UNDONE_WITHIN),
        ((Fact.STOCK_REJECTED, Fact.PAYMENT_RECEIVED), decisions.UNDONE_WITHIN),
        ((Fact.STOCK_REJECTED, Fact.PAYMENT_RECEIVED, Fact.PAYMENT_UNDONE), timedelta(0)),
        ((Fact.STOCK_REJECTED, Fact.PAYMENT_UNDONE), timedelta(0)),
        ((Fact.STOCK_REJECTED, Fact.PAYMENT_FAILED), decisions.UNDONE_WITHIN),
        ((Fact.PAYMENT_FAILED, Fact.PAYMENT_UNDONE), decisions.UNDONE_WITHIN),
        ((Fact.PAYMENT_FAILED, Fact.PAYMENT_UNDONE, Fact.STOCK_RESERVED), decisions.UNDONE_WITHIN),
        ((Fact.PAYMENT_FAILED, Fact.STOCK_RESERVED, Fact.STOCK_RELEASED), decisions.UNDONE_WITHIN),
        ((Fact.PAYMENT_FAILED, Fact.PAYMENT_UNDONE, Fact.STOCK_RESERVED, Fact.STOCK_RELEASED), timedelta(0)),
        ((Fact.STOCK_RESERVED, Fact.PAYMENT_RECEIVED, Fact.DELIVERED), timedelta(0)),
    ],
)
def test_an_order_is_worth_watching_until_what_was_done_for_it_is_undone(
    facts: tuple[Fact, ...], more: timedelta | None
) -> None:
    assert decisions.expected_for(Life().learn(*facts).order) == more


def test_a_cancelled_order_is_worth_watching_until_both_sides_have_undone_theirs() -> None:
    life = confirmed().cancel().learn(Fact.TICKET_CANCELLED)
    assert decisions.expected_for(life.order) == decisions.UNDONE_WITHIN
    assert decisions.expected_for(life.learn(Fact.STOCK_RELEASED).order) == decisions.UNDONE_WITHIN
    assert decisions.expected_for(life.learn(Fact.PAYMENT_UNDONE).order) == timedelta(0)


def test_an_order_cancelled_at_once_may_still_be_answered_for_by_others() -> None:
    life = Life().cancel()
    assert decisions.expected_for(life.order) == decisions.UNDONE_WITHIN
    life.learn(Fact.STOCK_RESERVED, Fact.STOCK_RELEASED)
    assert decisions.expected_for(life.order) == decisions.UNDONE_WITHIN  # its charge may be under way
    assert decisions.expected_for(life.learn(Fact.PAYMENT_UNDONE).order) == timedelta(0)
