"""A state at a moment is what the service's own decisions make of the events that counted by then."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbone.events.payload import Event, Payload
from backbone.rebuilding import Rebuilding, Rebuilt, rebuild
from services.alerts import events as alerts_events
from services.alerts.rebuilding import REBUILDS as ALERTS
from services.delivery import events as delivery_events
from services.delivery.rebuilding import REBUILDS as DELIVERY
from services.inventory import events as inventory_events
from services.inventory.rebuilding import REBUILDS as INVENTORY
from services.kitchen import events as kitchen_events
from services.kitchen.rebuilding import REBUILDS as KITCHEN
from services.loyalty import events as loyalty_events
from services.loyalty.rebuilding import REBUILDS as LOYALTY
from services.notifications import events as mail_events
from services.notifications.rebuilding import REBUILDS as NOTIFICATIONS
from services.orders import events as orders_events
from services.orders.rebuilding import REBUILDS as ORDERS
from services.payments import events as payments_events
from services.payments.rebuilding import REBUILDS as PAYMENTS

BEGAN = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
ADA = orders_events.Customer("ada", "Ada", "ada@example.com")
LINES = (orders_events.Line("margherita", 2, orders_events.Money(1200, "GBP"), True),)
TOTAL = orders_events.Money(2400, "GBP")
PAID = payments_events.Money(2400, "GBP")


def at(second: float) -> datetime:
    return BEGAN + timedelta(seconds=second)


def event(second: float, payload: Payload, cause: str | None = None, name: str | None = None) -> Event[Any]:
    """An event of this second, by the name `name` or that of its type."""
    known = name or payload.TYPE.split(".")[2]
    return Event(
        id=known,
        type=payload.TYPE,
        source=f"/sliceline/{payload.TYPE.split('.')[1]}",
        subject="o-1",
        time=at(second),
        key="o-1",
        correlationid="c-1",
        causationid=cause,
        occurrenceid=f"occurrence of {known}",
        sequence=int(second * 10) + 1,
        traceparent=None,
        data=payload,
    )


def placed(second: float = 0) -> Event[Any]:
    return event(
        second,
        orders_events.OrderPlaced(
            order="o-1", customer=ADA, fulfilment="delivery", address="1 Mill Lane", lines=LINES, total=TOTAL
        ),
    )


def confirmed(second: float, cause: str) -> Event[Any]:
    told = orders_events.OrderConfirmed(
        order="o-1", customer=ADA, fulfilment="delivery", address="1 Mill Lane", lines=LINES, total=TOTAL
    )
    return event(second, told, cause)


def of(rebuilds: Sequence[Rebuilding], events: Sequence[Event[Any]], thing: str = "o-1") -> Callable[[float], Rebuilt]:
    """A function that rebuilds a service's first kind of state at a second."""
    return lambda second: rebuild(rebuilds[0], thing, events, at(second))


def statuses(rebuilt: Callable[[float], Rebuilt], *seconds: float) -> list[str | None]:
    return [state and state["status"] for state in (rebuilt(second).state for second in seconds)]


ORDER = [
    placed(),
    event(1, orders_events.PaymentReceived(order="o-1")),
    event(2, orders_events.StockReserved(order="o-1")),
    # Orders was away for a while, and heard of the payment last.
    confirmed(20, cause="payment-received"),
    event(30, orders_events.PizzaPrepared(order="o-1")),
    event(40, orders_events.PizzaBaked(order="o-1")),
    event(50, orders_events.OrderDispatched(order="o-1")),
    event(60, orders_events.OrderDelivered(order="o-1")),
    event(61, orders_events.OrderCompleted(order="o-1", customer_id="ada", total=TOTAL), cause="order-delivered"),
]


def test_an_order_stands_at_each_moment_where_its_service_had_it() -> None:
    rebuilt = of(ORDERS, ORDER)
    assert statuses(rebuilt, -1, 0, 3, 19.9, 20, 30, 40, 50, 60.5, 61) == [
        None,
        "placed",
        "placed",
        "placed",
        "confirmed",
        "preparing",
        "baked",
        "dispatched",
        "dispatched",
        "completed",
    ]


def test_a_service_that_was_away_is_said_to_have_not_heard_yet() -> None:
    rebuilt = of(ORDERS, ORDER)
    assert rebuilt(19).unheard == ("payment-received",)
    assert rebuilt(21).unheard == ()


def test_a_service_that_has_never_told_what_it_decides_has_not_heard() -> None:
    """Where the answer is in no archive, the state stays as it was, instead of being one that there never was."""
    rebuilt = of(ORDERS, ORDER[:3])(100)
    assert (rebuilt.state["status"], rebuilt.unheard) == ("placed", ("stock-reserved",))


def test_an_order_that_somebody_cancels_is_cancelled_from_then_on() -> None:
    cancelled = event(5, orders_events.OrderCancelled(order="o-1", customer=ADA, reason="Changed my mind"))
    rebuilt = of(ORDERS, [*ORDER[:2], cancelled])
    assert statuses(rebuilt, 4, 5) == ["placed", "cancelled"]
    assert rebuilt(5).state["reason"] == "Changed my mind"


def test_a_ticket_follows_the_buttons_that_were_pressed() -> None:
    line = kitchen_events.OrderLine(item="margherita", quantity=2, baked=True)
    story = [
        event(1, kitchen_events.OrderConfirmed(order="o-1", lines=(line,))),
        event(2, kitchen_events.PizzaPrepared(order="o-1", by="ann")),
        event(3, kitchen_events.PizzaBaked(order="o-1", by="ben")),
    ]
    rebuilt = of(KITCHEN, story)
    assert statuses(rebuilt, 0, 1, 2, 3) == [None, "waiting", "prepared", "baked"]
    assert rebuilt(3).state["by"] == "ben"


def test_a_button_that_fits_nothing_is_told_instead_of_guessed_at() -> None:
    rebuilt = of(KITCHEN, [event(2, kitchen_events.PizzaBaked(order="o-1", by="ben"))])(3)
    assert (rebuilt.state, [each.id for each in rebuilt.unfit]) == (None, ["pizza-baked"])


def test_a_delivery_waits_for_the_oven_and_follows_the_courier() -> None:
    lines = (delivery_events.OrderLine(baked=True),)
    told = delivery_events.OrderConfirmed(
        order="o-1", customer=delivery_events.Customer(name="Ada"), fulfilment="delivery", address="x", lines=lines
    )
    story = [
        event(1, told),
        event(2, delivery_events.PizzaBaked(order="o-1")),
        event(3, delivery_events.OrderDispatched(order="o-1", by="cy")),
        event(4, delivery_events.OrderDelivered(order="o-1", by="cy")),
    ]
    assert statuses(of(DELIVERY, story), 1, 2, 3, 4) == ["waiting", "ready", "dispatched", "delivered"]


def payment_story(*answers: Event[Any]) -> Callable[[float], Rebuilt]:
    told = payments_events.OrderPlaced(order="o-1", customer=payments_events.Customer("ada"), total=PAID)
    return of(PAYMENTS, [event(0, told), *answers])


def failed(second: float) -> Event[Any]:
    return event(second, payments_events.PaymentFailed(order="o-1", amount=PAID, reference="o-1", reason="no"))


def voided(second: float) -> Event[Any]:
    return event(second, payments_events.PaymentVoided(order="o-1", reference="o-1", reason="no"))


def test_a_payment_is_received_when_the_provider_said_so_and_given_back_later() -> None:
    rebuilt = payment_story(
        event(2, payments_events.PaymentReceived(order="o-1", amount=PAID, reference="o-1")),
        event(3, payments_events.OrderCancelled(order="o-1", reason="no")),
        event(4, payments_events.PaymentRefunded(order="o-1", amount=PAID, reference="o-1", reason="no")),
    )
    assert statuses(rebuilt, 1, 2, 3, 4) == ["queued", "received", "voiding", "refunded"]


def test_a_declined_payment_is_told_from_one_that_was_given_up() -> None:
    assert statuses(payment_story(failed(2), voided(2)), 2, 9) == ["failed", "failed"]
    assert statuses(payment_story(failed(2), voided(5)), 2, 5) == ["voiding", "voided"]


def test_a_reservation_ends_as_its_order_did() -> None:
    line = inventory_events.StockLine("dough", 2)
    reserved = event(1, inventory_events.StockReserved(order="o-1", lines=(line,)))
    sold = of(INVENTORY, [reserved, event(5, inventory_events.OrderCompleted(order="o-1"))])
    assert [sold(second).state["reservation"] for second in (1, 5)] == ["open", "sold"]
    released = event(7, inventory_events.StockReleased(order="o-1", lines=(line,)), cause="order-cancelled")
    back = of(INVENTORY, [reserved, event(5, inventory_events.OrderCancelled(order="o-1")), released])
    assert [back(second).state["reservation"] for second in (5, 7)] == ["open", "released"]


def test_points_count_from_when_they_were_credited() -> None:
    total = loyalty_events.Money(amount=2400, currency="GBP")
    story = [
        event(1, loyalty_events.OrderCompleted(order="o-1", customer_id="ada", total=total)),
        event(3, loyalty_events.PointsEarned(order="o-1", customer_id="ada", points=24, balance=99), "order-completed"),
    ]
    rebuilt = of(LOYALTY, story)
    assert [rebuilt(second).state for second in (2, 3)] == [None, {"points": 24}]
    assert rebuilt(2).unheard == ("order-completed",)


def test_mails_are_queued_when_written_and_sent_when_told() -> None:
    told = mail_events.OrderRejected(order="o-1", customer=mail_events.Customer("Ada", "ada@example.com"), reason=None)
    sent = mail_events.NotificationSent(
        notification="occurrence of order-rejected", kind="order-rejected", recipient="ada@example.com", about="o-1"
    )
    rebuilt = of(NOTIFICATIONS, [event(1, told), event(4, sent)])
    assert [rebuilt(second).state for second in (2, 4)] == [
        [{"kind": "order-rejected", "status": "queued"}],
        [{"kind": "order-rejected", "status": "sent"}],
    ]


@pytest.mark.parametrize(("second", "active"), [(1, []), (2, ["low"]), (3, [])])
def test_alerts_are_those_that_were_active(second: float, active: list[str]) -> None:
    levels = [
        event(
            number,
            alerts_events.StockLevelChanged(
                sku="o-1",
                after=alerts_events.Availability(available),
                threshold=100,
                ceiling=1000,
                channel="orders",
            ),
            name=f"level {number}",
        )
        for number, available in enumerate((500, 90, 500), 1)
    ]
    assert sorted(of(ALERTS, levels)(second).state["active"]) == active
