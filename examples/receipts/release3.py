"""Release 3 reads version 2, which names the currency: `.venv/bin/python -m examples.receipts.release3`."""

from typing import ClassVar

import msgspec

from backbone.consuming.handlers import Handlers
from backbone.events.payload import Event, Payload
from backbone.storage.database import Tx
from examples.receipts import mailing
from examples.receipts.running import run


class Customer(msgspec.Struct, frozen=True):
    email: str


class Money(msgspec.Struct, frozen=True):
    amount: int
    currency: str


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    customer: Customer
    total: Money


async def hear(event: Event[OrderConfirmed], tx: Tx) -> None:
    """Owe the receipt of an order that version 2 tells of."""
    order = event.data
    mailing.owe(tx, mailing.Receipt(order.order, order.customer.email, order.total.amount, order.total.currency))


HANDLERS: Handlers = {OrderConfirmed: hear}
SERVICE = mailing.service(HANDLERS)

if __name__ == "__main__":
    run(SERVICE)
