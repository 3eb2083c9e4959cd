"""Mails a receipt, whichever version of the event has told of the order."""

from collections.abc import Sequence
from datetime import timedelta
from email.message import EmailMessage

import aiosmtplib
import msgspec
from fastapi import APIRouter
from pydantic import Field

from backbone.consuming.handlers import Handlers
from backbone.context import Context
from backbone.jobs.work import Done, Job, Work
from backbone.running.retry import RetryPolicy
from backbone.service import Service
from backbone.settings import Port
from backbone.settings import Settings as Common
from backbone.storage.database import Tx
from backbone.storage.statement import Statement
from backbone.values.sealed import FORGOTTEN

NOTE = Statement("INSERT INTO receipts (order_id, amount, currency) VALUES (:order, :amount, :currency)")
MAIL = "mail"


class Settings(Common):
    smtp_host: str = Field("127.0.0.1", description="The mail server that takes our mail")
    smtp_port: Port = Field(1025, description="The port on which it takes mail")


class Receipt(msgspec.Struct, frozen=True):
    order: str
    email: str
    amount: int
    currency: str


def owe(tx: Tx, receipt: Receipt) -> None:
    """Note that a mail is due, in the transaction that notes the occurrence as handled."""
    tx.schedule(MAIL, receipt.order, msgspec.to_builtins(receipt))


async def mail(job: Job, context: Context[Settings]) -> Receipt | None:
    """Send the mail. What fails is tried again; one that went out twice has the same Message-ID."""
    receipt, settings = msgspec.convert(job.data, Receipt), context.settings
    email = await context.sealing.opened(receipt.email)
    if email == FORGOTTEN:
        return None
    message = EmailMessage()
    message["From"], message["To"] = "receipts@sliceline.example", email
    message["Subject"], message["Message-ID"] = f"Receipt for {receipt.order}", f"<{receipt.order}@sliceline.example>"
    message.set_content(f"Paid: {receipt.amount} {receipt.currency} (minor units)")
    await aiosmtplib.send(message, hostname=settings.smtp_host, port=settings.smtp_port, timeout=5)
    return receipt


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Note which receipts were sent, in the transaction that deletes their jobs."""
    for receipt in sorted((each.outcome for each in done), key=lambda each: each.order):
        await NOTE.execute(tx.raw, order=receipt.order, amount=receipt.amount, currency=receipt.currency)


def service(handlers: Handlers) -> Service[Settings]:
    """Make the service of a release: all that differs is what it reads."""
    patience = RetryPolicy(longest=timedelta(minutes=5), within=timedelta(days=3))
    return Service(
        name="receipts",
        settings=Settings,
        router=APIRouter(),
        handlers=handlers,
        jobs={MAIL: Work(mail, settle, patience, repeatable=False)},
    )
