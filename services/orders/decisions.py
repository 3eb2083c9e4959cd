"""Decides what an order's facts mean: takes facts, returns its new state and new events.

It does no I/O, reads no clock and draws nothing at random.

Topics are unordered among each other, so the status is a function of the set of known facts, and a decision
once taken is a fact itself. A fact that comes late joins the timeline and changes nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace

from backbone import decision
from backbone.decision import Refusal, Start
from backbone.errors import SlicelineError
from backbone.events.payload import Payload
from backbone.values.amounts import LARGEST_TOTAL
from services.orders.events import (
    Fulfilment,
    Line,
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
from services.orders.menu import NOT_ON_THE_MENU, MenuItem
from services.orders.order import ENDS, Basket, Buyer, Entry, Fact, News, Order, Refund, Settlement, Status

DELAY_WATCH = "delay-watch"
"""The job that looks whether an order's step takes too long."""
LONGEST_REASON = 2000
PAID_AND_RESERVED = frozenset({Fact.STOCK_RESERVED, Fact.PAYMENT_RECEIVED})
FAILED = frozenset({Fact.STOCK_REJECTED, Fact.PAYMENT_FAILED})
HANDED_OVER = frozenset({Fact.DELIVERED, Fact.COLLECTED})
CANCELLATION_AGREED = frozenset({Fact.TICKET_CANCELLED, Fact.DELIVERY_CANCELLED})
STOCK_SETTLED = frozenset({Fact.STOCK_REJECTED, Fact.STOCK_RELEASED, Fact.BACKORDER_WITHDRAWN})
UNCONFIRMED = frozenset({Status.PLACED, Status.BACKORDERED})
# How long those who follow wait at most for what should come. Payments waits for its provider as long as it takes, and
# what ended before payments told of every end is never heard of.
UNDONE_WITHIN = timedelta(hours=1)
# Whoever has started also refuses to cancel; on another topic the first may be known before the second.
STARTED = HANDED_OVER | {Fact.PREPARED, Fact.BAKED, Fact.DISPATCHED, Fact.CANCELLATION_REFUSED}


class Decision(decision.Decision[Order], frozen=True):
    """Holds a decision about an order: what joins its timeline, and its refunds that are new or have ended."""

    entries: tuple[Entry, ...] = ()
    refunds: tuple[Refund, ...] = ()
    settled: tuple[Settlement, ...] = ()


class NotForSale(SlicelineError):
    """Some lines ask for what cannot be ordered; `lines` says why, by their numbers, counted from 0."""

    def __init__(self, lines: Mapping[int, str]) -> None:
        super().__init__()
        self.lines = lines


class TooDear(SlicelineError):
    """The order would come to more than `LARGEST_TOTAL`, which not all who hear of it could count."""


class TooLate(Refusal):
    """The order has been started or has ended, so it cannot be cancelled."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"The order is {status}, so it cannot be cancelled.")
        self.status = status


def price(items: Sequence[tuple[str, int]], menu: Mapping[str, MenuItem], currency: str) -> Basket:
    """Look up what items, in such quantities, cost by the menu. Raises NotForSale or TooDear."""
    if refused := dict(_refused(items, menu)):
        raise NotForSale(refused)
    lines = tuple(_priced(items, menu))
    total = sum(line.quantity * line.unit_price.amount for line in lines)
    if total > LARGEST_TOTAL:
        raise TooDear
    patient = tuple(sorted({line.item for line in lines if menu[line.item].back_orderable}))
    return Basket(lines, Money(total, currency), patient)


def place(order_id: str, buyer: Buyer, basket: Basket, limit: timedelta, now: datetime) -> Decision:
    """Make a new order, watched from when a step has taken `limit`."""
    patient = basket.patient
    order = Order(
        id=order_id,
        customer=buyer.customer,
        fulfilment=buyer.fulfilment,
        address=buyer.address,
        lines=basket.lines,
        total=basket.total,
        status=Status.PLACED,
        reason=None,
        facts=frozenset({Fact.PLACED, Fact.PAYMENT_HELD} if patient else {Fact.PLACED}),
        placed_at=now,
        stepped_at=now,
        delayed=False,
        version=1,
    )
    entry = _entry(order, OrderPlaced.TYPE, now, "The order was placed.")
    placed = replace(_whole(OrderPlaced, order, order.total), back_orderable=patient or UNSET)
    return Decision(order, (placed,), start=(Start(DELAY_WATCH, due=now + limit),), entries=(entry,))


def learn(order: Order, news: News, now: datetime) -> Decision:
    """Add one more fact to the order, and decide everything that follows from it."""
    known = _knowing(order, news.fact, now)
    decided = Decision(known, entries=(_entry(known, news.event, news.at, news.text),))
    while (fact := _follows(decided.state.facts)) is not None:
        decided = _decide(decided, fact, news.reason, now)
    return _watched(order, decided)


def cancel(order: Order, reason: str, now: datetime) -> Decision:
    """Cancel an order at once, or ask those who may have started.

    Doing so again changes nothing. Raises TooLate.
    """
    if order.status in (Status.CANCELLING, Status.CANCELLED):
        return Decision(order)
    if order.status in UNCONFIRMED:
        return _watched(order, _decide(Decision(order), Fact.CANCELLED, reason, now))
    if order.status is Status.CONFIRMED and not order.facts & STARTED:
        return _watched(order, _decide(Decision(order), Fact.CANCELLATION_REQUESTED, reason, now))
    raise TooLate(order.status)


def delay(order: Order, limit: timedelta, now: datetime) -> Decision | None:
    """Tell, once for each step, that it takes longer than `limit`, or look again when it does.

    Returns None when that was told, or the order has ended or waits for stock.
    """
    if order.ended or order.delayed or order.status is Status.BACKORDERED:
        return None
    if now < order.stepped_at + limit:
        return Decision(order, start=(Start(DELAY_WATCH, due=order.stepped_at + limit),))
    seconds = round((now - order.stepped_at).total_seconds())
    reason = f"Still {order.status} after {seconds} seconds{_lacking(order)}."
    late = replace(_changed(order), delayed=True)
    payload = OrderDelayed(order=order.id, customer=order.customer, reason=reason)
    return Decision(late, (payload,), entries=(_entry(late, OrderDelayed.TYPE, now, reason),))


def expected_for(order: Order) -> timedelta | None:
    """Return how long after its end an order is still worth watching; None before its end.

    What was done for an order that is rejected or cancelled is undone, and each side tells of it in any case, also
    when there was nothing to undo.
    """
    if not order.ended:
        return None
    is_undone = Fact.PAYMENT_UNDONE in order.facts and order.facts & STOCK_SETTLED
    return timedelta(0) if order.status is Status.COMPLETED or is_undone else UNDONE_WITHIN


def status_of(facts: frozenset[Fact], fulfilment: Fulfilment) -> Status:
    """Return the status that a set of facts amounts to."""
    for end, status in _ENDINGS.items():
        if end in facts:
            return status
    if Fact.CONFIRMED not in facts:
        waits = Fact.BACKORDERED in facts and Fact.STOCK_RESERVED not in facts
        return Status.BACKORDERED if waits else Status.PLACED
    if Fact.CANCELLATION_REQUESTED in facts and not facts & STARTED:
        return Status.CANCELLING
    return _progress(facts, fulfilment)


_ENDINGS = {
    Fact.COMPLETED: Status.COMPLETED,
    Fact.REJECTED: Status.REJECTED,
    Fact.CANCELLED: Status.CANCELLED,
}


def _progress(facts: frozenset[Fact], fulfilment: Fulfilment) -> Status:
    if Fact.DISPATCHED in facts:
        return Status.DISPATCHED
    if Fact.BAKED in facts:
        return Status.READY if fulfilment == "collection" else Status.BAKED
    return Status.PREPARING if Fact.PREPARED in facts else Status.CONFIRMED


def _follows(facts: frozenset[Fact]) -> Fact | None:
    """Return the decision that is due once these facts are known, if any."""
    if not facts.isdisjoint(_ENDINGS):
        return None
    if Fact.CONFIRMED not in facts:
        return _before_confirmation(facts)
    if facts & HANDED_OVER:
        return Fact.COMPLETED
    if Fact.CANCELLATION_REQUESTED in facts and facts & CANCELLATION_AGREED:
        return Fact.CANCELLED
    return None


def _before_confirmation(facts: frozenset[Fact]) -> Fact | None:
    if facts & FAILED:
        return Fact.REJECTED
    if Fact.STOCK_RESERVED not in facts:
        return Fact.BACKORDERED if Fact.STOCK_SHORT in facts and Fact.BACKORDERED not in facts else None
    if Fact.PAYMENT_HELD in facts and Fact.PAYMENT_DUE not in facts:
        return Fact.PAYMENT_DUE
    return Fact.CONFIRMED if facts >= PAID_AND_RESERVED else None


def _decide(before: Decision, fact: Fact, reason: str | None, now: datetime) -> Decision:
    """Make what was decided a fact, a line of the timeline and an event."""
    announce, text = _ANNOUNCED[fact]
    order = _knowing(before.state, fact, now)
    order = replace(order, reason=_reason(fact, before.state, reason))
    payloads = announce(order)
    entry = _entry(order, payloads[-1].TYPE, now, text.replace("{reason}", (order.reason or "").rstrip(".")))
    return Decision(order, (*before.events, payloads), entries=(*before.entries, entry))


def _watched(before: Order, decided: Decision) -> Decision:
    """Stop watching an order that has ended or waits for stock, and watch one again that was late or waited."""
    if decided.state.ended or decided.state.status is Status.BACKORDERED:
        return replace(decided, stop=(DELAY_WATCH,))
    if before.status is Status.BACKORDERED or (before.delayed and not decided.state.delayed):
        # Due at once: the job itself knows the limit and settles on the time.
        return replace(decided, start=(Start(DELAY_WATCH),))
    return decided


def _reason(fact: Fact, before: Order, given: str | None) -> str | None:
    if fact in (Fact.PAYMENT_DUE, Fact.CONFIRMED, Fact.COMPLETED):
        return None
    asked = before.reason if before.status is Status.CANCELLING else None
    return (asked or given or "No reason was given.")[:LONGEST_REASON]


def _knowing(order: Order, fact: Fact, now: datetime) -> Order:
    facts = order.facts | {fact}
    status = status_of(facts, order.fulfilment)
    order = replace(_changed(order), facts=facts)
    if status is order.status:
        return order
    # A refused cancellation leaves no reason behind, nor does stock that has come.
    reason = None if order.status in (Status.CANCELLING, Status.BACKORDERED) and status not in ENDS else order.reason
    return replace(order, status=status, reason=reason, stepped_at=now, delayed=False)


def _changed(order: Order) -> Order:
    return replace(order, version=order.version + 1)


def _entry(order: Order, event: str, at: datetime, text: str) -> Entry:
    return Entry(order.status, at, event, text)


def _refused(lines: Sequence[tuple[str, int]], menu: Mapping[str, MenuItem]) -> Iterator[tuple[int, str]]:
    for number, (item, _) in enumerate(lines):
        objection = menu[item].objection if item in menu else NOT_ON_THE_MENU
        if objection:
            yield number, objection


def _priced(lines: Sequence[tuple[str, int]], menu: Mapping[str, MenuItem]) -> Iterator[Line]:
    for item, quantity in lines:
        yield Line(item, quantity, menu[item].unit_price, menu[item].baked)


def _lacking(order: Order) -> str:
    if order.status is not Status.PLACED:
        return ""
    names = {Fact.STOCK_RESERVED: "stock", Fact.PAYMENT_RECEIVED: "payment"}
    return f", waiting for {' and '.join(name for fact, name in names.items() if fact not in order.facts)}"


# How each decision is announced: its event in every version, oldest first, and its sentence.


def _whole(kind: Callable[..., Payload], order: Order, total: Money | int) -> Payload:
    return kind(
        order=order.id,
        customer=order.customer,
        fulfilment=order.fulfilment,
        address=order.address,
        lines=order.lines,
        total=total,
    )


def _confirmed(order: Order) -> tuple[Payload, ...]:
    return _whole(OrderConfirmedV1, order, order.total.amount), _whole(OrderConfirmed, order, order.total)


def _payment_due(order: Order) -> tuple[Payload, ...]:
    return (OrderPaymentDue(order=order.id, customer=order.customer, total=order.total),)


def _completed(order: Order) -> tuple[Payload, ...]:
    return (OrderCompleted(order=order.id, customer_id=order.customer.id, total=order.total),)


def _with_reason(kind: Callable[..., Payload]) -> Callable[[Order], tuple[Payload, ...]]:
    return lambda order: (kind(order=order.id, customer=order.customer, reason=order.reason),)


_ANNOUNCED: Mapping[Fact, tuple[Callable[[Order], tuple[Payload, ...]], str]] = {
    Fact.BACKORDERED: (
        _with_reason(OrderBackordered),
        "The order waits for stock, and so does its payment.",
    ),
    Fact.PAYMENT_DUE: (_payment_due, "All of it is there, and the payment is due."),
    Fact.CONFIRMED: (_confirmed, "The order is confirmed."),
    Fact.REJECTED: (_with_reason(OrderRejected), "The order is rejected: {reason}."),
    Fact.CANCELLATION_REQUESTED: (_with_reason(OrderCancellationRequested), "To be cancelled: {reason}."),
    Fact.CANCELLED: (_with_reason(OrderCancelled), "The order is cancelled: {reason}."),
    Fact.COMPLETED: (_completed, "The order is completed."),
}
