"""Mails the customer of a confirmed order, at its own speed, whatever becomes of the shop."""

import os
from collections.abc import Sequence
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import ClassVar

import aiosmtplib
import msgspec
from fastapi import APIRouter

from backbone import settings
from backbone.context import Context
from backbone.events.payload import Event, Payload
from backbone.jobs.work import Done, Job, Work
from backbone.process import run
from backbone.running.retry import RetryPolicy
from backbone.service import Service
from backbone.storage.database import Tx
from backbone.storage.migrations import upgrade

MAIL = "mail"


class Settings(settings.Settings):
    smtp_port: int


class Customer(msgspec.Struct, frozen=True):
    name: str
    email: str


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-confirmed.v2"
    order: str
    customer: Customer
    address: str | None


async def hear(event: Event[OrderConfirmed], tx: Tx) -> None:
    """Note that a mail is due, in the transaction that notes the event as handled."""
    tx.schedule(MAIL, event.data.order, msgspec.to_builtins(event.data))


async def mail(job: Job, context: Context[Settings]) -> None:
    """Send the mail. What fails is tried again; one that went out twice has the same Message-ID."""
    order = msgspec.convert(job.data, OrderConfirmed)
    message = EmailMessage()
    message["From"], message["To"] = "shop@sliceline.example", order.customer.email
    message["Subject"], message["Message-ID"] = f"Your order {order.order}", f"<{order.order}@sliceline.example>"
    message.set_content(f"Dear {order.customer.name}, your pizza is on its way to {order.address}.")
    await aiosmtplib.send(message, hostname="127.0.0.1", port=context.settings.smtp_port, timeout=5)


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Write nothing: that the job is gone says that the mail is sent."""


SERVICE = Service(
    name="mailer",
    settings=Settings,
    router=APIRouter(),
    handlers={OrderConfirmed: hear},
    jobs={MAIL: Work(mail, settle, RetryPolicy(longest=timedelta(minutes=5)), lease=timedelta(seconds=10))},
)

if __name__ == "__main__":
    upgrade(SERVICE.name, os.environ["SLICELINE_DATABASE_URL"], Path(__file__).parent / "migrations")
    run(SERVICE)
