"""Release 1 reads version 1, whose total is a plain number: `.venv/bin/python -m examples.receipts.release1`."""

from typing import ClassVar

import msgspec

from backbone.consuming.handlers import Handlers
from backbone.events.payload import Event, Payload
from backbone.storage.database import Tx
from examples.receipts import mailing
from examples.receipts.running import run

SHOP_CURRENCY = "GBP"
"""Version 1 does not say it."""


class Customer(msgspec.Struct, frozen=True):
    email: str


class OrderConfirmedV1(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v1"
    order: str
    customer: Customer
    total: int


async def hear(event: Event[OrderConfirmedV1], tx: Tx) -> None:
    """Owe the receipt of an order that version 1 tells of."""
    order = event.data
    mailing.owe(tx, mailing.Receipt(order.order, order.customer.email, order.total, SHOP_CURRENCY))


HANDLERS: Handlers = {OrderConfirmedV1: hear}
SERVICE = mailing.service(HANDLERS)

if __name__ == "__main__":
    run(SERVICE)
