"""Decides in pure functions what is written to whom.

Whatever a person typed becomes one line of plain text here.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from backbone.decision import Decision, Start
from backbone.events.payload import Payload
from backbone.values.currencies import in_words
from backbone.values.sealed import is_sealed
from backbone.values.texts import is_email, one_line
from services.notifications.events import (
    BalanceBroken,
    BalanceRestored,
    CartReminderDue,
    ContractReleased,
    Line,
    Money,
    NotificationSent,
    NotificationSentV1,
    NotificationSentV2,
    OrderBackordered,
    OrderCancelled,
    OrderConfirmed,
    OrderDelayed,
    OrderRefunded,
    OrderRejected,
    ReviewAnalysed,
    StockAlertRaised,
    Unbalanced,
)

SEND = "send"
"""The job that hands a mail to the mail server."""
NO_ADDRESS = "This is no address that a mail server would take."
_ALERTS = {"low": "Low stock", "out": "Out of stock", "over": "Too much stock"}


Fact = (
    OrderConfirmed
    | OrderBackordered
    | OrderRejected
    | OrderCancelled
    | OrderRefunded
    | OrderDelayed
    | StockAlertRaised
    | ReviewAnalysed
    | CartReminderDue
    | BalanceBroken
    | BalanceRestored
    | ContractReleased
)


class Kind(StrEnum):
    """Names what a notification is about."""

    CONFIRMED = "order-confirmed"
    REJECTED = "order-rejected"
    BACKORDERED = "order-backordered"
    CANCELLED = "order-cancelled"
    DELAYED = "order-delayed"
    REFUNDED = "order-refunded"
    STOCK_ALERT = "stock-alert"
    REVIEW_THANKS = "review-thanks"
    CART_REMINDER = "cart-reminder"
    BALANCE_BROKEN = "balance-broken"
    BALANCE_RESTORED = "balance-restored"
    CONTRACT_RELEASED = "contract-released"


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what to write.

    `recipient` None is the shop, whose address is known when the mail is sent.
    """

    kind: Kind
    about: str
    recipient: str | None
    subject: str
    body: str

    @property
    def is_deliverable(self) -> bool:
        """Tell whether a mail server can be asked to deliver the mail."""
        return self.recipient is None or is_sealed(self.recipient) or is_email(self.recipient)


def mail_about(fact: Fact) -> Decision[Mail] | None:
    """Write the mail that a fact calls for, if any, and have it sent where a mail server can be asked to."""
    mail = FACTS[type(fact)](fact)
    if mail is None:
        return None
    return Decision(mail, start=(Start(SEND),) if mail.is_deliverable else ())


def confirmed(fact: OrderConfirmed) -> Mail:
    """Thank the customer and repeat what was ordered."""
    where = f"We bring it to {one_line(fact.address)}." if fact.address else "It waits for you at the shop."
    text = _letter(
        fact.customer.name,
        "Thank you! Your order is confirmed:",
        _listed(fact.lines),
        f"Total: {money(fact.total)}",
        where,
        f"Your order number is {one_line(fact.order)}.",
    )
    return Mail(
        kind=Kind.CONFIRMED,
        about=fact.order,
        recipient=fact.customer.email,
        subject="Your order is confirmed",
        body=text,
    )


def rejected(fact: OrderRejected) -> Mail:
    """Tell the customer that there will be no pizza, and why."""
    text = _letter(
        fact.customer.name,
        f"We are sorry: we cannot make your order {one_line(fact.order)}.",
        *_because(fact.reason),
        "You pay nothing; what was charged already is given back.",
    )
    return Mail(
        kind=Kind.REJECTED,
        about=fact.order,
        recipient=fact.customer.email,
        subject="We cannot make your order",
        body=text,
    )


def backordered(fact: OrderBackordered) -> Mail:
    """Tell the customer that the order waits for stock, and that nothing is charged meanwhile."""
    text = _letter(
        fact.customer.name,
        f"Your order {one_line(fact.order)} has to wait: not all of it is there yet.",
        *_because(fact.reason),
        "We make it as soon as everything has come, and charge you only then. Until then you can cancel it.",
    )
    return Mail(
        kind=Kind.BACKORDERED,
        about=fact.order,
        recipient=fact.customer.email,
        subject="Your order waits for a delivery",
        body=text,
    )


def cancelled(fact: OrderCancelled) -> Mail:
    """Tell the customer that the order is cancelled for good."""
    text = _letter(
        fact.customer.name,
        f"Your order {one_line(fact.order)} is cancelled.",
        *_because(fact.reason),
        "You pay nothing; what was charged already is given back.",
    )
    return Mail(
        kind=Kind.CANCELLED,
        about=fact.order,
        recipient=fact.customer.email,
        subject="Your order is cancelled",
        body=text,
    )


def refunded(fact: OrderRefunded) -> Mail:
    """Tell the customer how much of the payment was given back, and why."""
    text = _letter(
        fact.customer.name,
        f"We have given back {money(fact.amount)} of what you paid for your order {one_line(fact.order)}.",
        *_because(fact.reason),
        "Until you see it, your bank may take some days.",
    )
    return Mail(
        kind=Kind.REFUNDED,
        about=fact.order,
        recipient=fact.customer.email,
        subject=f"Your refund of {money(fact.amount)}",
        body=text,
    )


def delayed(fact: OrderDelayed) -> Mail:
    """Tell the shop, which can do something about it, that an order does not get on.

    The customer is not alarmed.
    """
    order = one_line(fact.order)
    facts = [
        f"Order:    {order}",
        f"Customer: {one_line(fact.customer.name)} <{one_line(fact.customer.email)}>",
        *([f"Reason:   {one_line(fact.reason)}"] if fact.reason else []),
    ]
    return Mail(
        kind=Kind.DELAYED,
        about=fact.order,
        recipient=None,
        subject=f"Order delayed: {order}",
        body="\n".join(["An order takes longer than it should.", "", *facts, ""]),
    )


def stock_alert(fact: StockAlertRaised) -> Mail:
    """Tell the shop which stock crossed which line, and through which channel."""
    title, sku = _ALERTS.get(fact.kind, "Stock alert"), one_line(fact.sku)
    facts = [
        f"SKU:       {sku}",
        f"Available: {fact.available}",
        f"Threshold: {fact.threshold}",
        f"Ceiling:   {fact.ceiling}",
        f"Channel:   {one_line(fact.channel)}",
    ]
    return Mail(
        kind=Kind.STOCK_ALERT,
        about=fact.sku,
        recipient=None,
        subject=f"{title}: {sku} ({fact.available} available)",
        body="\n".join([f"{title}{_often(fact.times)}.", "", *facts, ""]),
    )


def review_thanks(fact: ReviewAnalysed) -> Mail | None:
    """Thank the customer for a good review. Who was not happy hears from a person, not from a program."""
    if fact.label != "positive":
        return None
    text = _letter(
        fact.customer.name,
        f"Thank you for your review of your order {one_line(fact.order)}!",
        "The kitchen has read it, and is as glad as you were.",
    )
    return Mail(
        kind=Kind.REVIEW_THANKS,
        about=fact.order,
        recipient=fact.customer.email,
        subject="Thank you for your review",
        body=text,
    )


def cart_reminder(fact: CartReminderDue) -> Mail:
    """Remind the customer of what is in the cart."""
    text = _letter(
        fact.customer.name,
        "You have left something in your cart:",
        _listed(fact.lines),
        "It waits for you there, and nothing is ordered until you check out.",
    )
    return Mail(
        kind=Kind.CART_REMINDER,
        about=fact.cart,
        recipient=fact.customer.email,
        subject="Your cart is waiting",
        body=text,
    )


def balance_broken(fact: BalanceBroken) -> Mail:
    """Tell the shop that events were lost on the way through a consumer, or counted twice, and which they may be."""
    consumer = one_line(fact.consumer)
    return Mail(
        kind=Kind.BALANCE_BROKEN,
        about=fact.consumer,
        recipient=None,
        subject=f"Events do not add up: {consumer}",
        body="\n".join(
            [
                f"What {consumer} did with its events does not add up to what is archived.",
                "",
                *(line for each in fact.differences for line in _unbalanced(each)),
                "GET /balance of the ledger shows all of it.",
                "",
            ]
        ),
    )


def balance_restored(fact: BalanceRestored) -> Mail:
    """Tell the shop that all events of a consumer add up again."""
    consumer = one_line(fact.consumer)
    return Mail(
        kind=Kind.BALANCE_RESTORED,
        about=fact.consumer,
        recipient=None,
        subject=f"Events add up again: {consumer}",
        body=f"What {consumer} did with its events adds up again to what is archived.\n",
    )


def contract_released(fact: ContractReleased) -> Mail | None:
    """Tell the owners of a reader that what they read may say more, or has a new version beside it."""
    if fact.reader_owner is None:
        return None
    contract, reader = one_line(fact.contract), one_line(fact.reader or "Somebody of yours")
    lines = [
        f"{contract} was released in form {fact.form}, with {one_line(fact.release)}. {reader} reads this event.",
        "",
        f"./sliceline contracts diff {contract} and the catalogue show what it says now.",
        *([f"{one_line(fact.owner)} answers questions."] if fact.owner else []),
    ]
    return Mail(
        kind=Kind.CONTRACT_RELEASED,
        about=fact.contract,
        recipient=fact.reader_owner,
        subject=f"Released: the contract {contract}",
        body="\n".join([*lines, ""]),
    )


FACTS: Mapping[type[Payload], Callable[[Any], Mail | None]] = {
    OrderConfirmed: confirmed,
    OrderBackordered: backordered,
    OrderRejected: rejected,
    OrderCancelled: cancelled,
    OrderRefunded: refunded,
    OrderDelayed: delayed,
    StockAlertRaised: stock_alert,
    ReviewAnalysed: review_thanks,
    CartReminderDue: cart_reminder,
    BalanceBroken: balance_broken,
    BalanceRestored: balance_restored,
    ContractReleased: contract_released,
}
"""What is written on which event; None: nothing is."""


def told_of(notification: str, kind: str, recipient: str, about: str) -> tuple[Payload, ...]:
    """Return what is told of a sent mail, in every version that can say it, the oldest first."""
    said = {"notification": notification, "kind": kind, "recipient": recipient, "about": about}
    if kind not in _IN_VERSION_2:
        return (NotificationSent(**said),)
    newer = (NotificationSentV2(**said), NotificationSent(**said))
    return newer if kind == Kind.DELAYED else (NotificationSentV1(**said), *newer)


# Version 3 takes any kind; the versions before have a list that cannot grow.
_IN_VERSION_2 = frozenset({Kind.CONFIRMED, Kind.REJECTED, Kind.CANCELLED, Kind.DELAYED, Kind.STOCK_ALERT})


def money(amount: Money) -> str:
    """Write an amount as people do: `24.00 GBP`."""
    return in_words(amount.amount, amount.currency)


def _often(times: int) -> str:
    return f", {times} times since the last mail" if times > 1 else ""


def _unbalanced(difference: Unbalanced) -> list[str]:
    """Write a line about a type of event, and one with ids of events that may be concerned."""
    said = f"{one_line(difference.type)}: {difference.missing} missing, {difference.twice} twice"
    among = ", ".join(one_line(each) for each in difference.candidates)
    return [said, *([f"  among {among}"] if among else []), ""]


def _listed(lines: Iterable[Line]) -> str:
    return "\n".join(f"  {line.quantity} x {one_line(line.item)}" for line in lines)


def _because(reason: str | None) -> list[str]:
    return [f"The reason: {one_line(reason)}"] if reason else []


def _letter(name: str, *paragraphs: str) -> str:
    return "\n\n".join([f"Hello {one_line(name)},", *paragraphs, "Sliceline\n"])
