"""Charges placed orders at the provider's speed: once each, however often it has to ask."""

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

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

CHARGE = "charge"
AGAIN = RetryPolicy(first=timedelta(seconds=1), longest=timedelta(seconds=30), within=timedelta(days=1))


class Settings(settings.Settings):
    provider_url: str


class Customer(msgspec.Struct, frozen=True):
    id: str


class OrderPlaced(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-placed.v1"
    order: str
    customer: Customer
    total: dict[str, Any]


class PaymentReceived(Payload, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.payments.payment-received.v1"
    order: str
    amount: dict[str, Any]
    reference: str
    reason: str | None = None


class PaymentFailed(PaymentReceived, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "sliceline.payments.payment-failed.v1"


async def hear(event: Event[OrderPlaced], tx: Tx) -> None:
    """Queue the charge, in the transaction that notes the event as handled."""
    order = event.data
    tx.schedule(CHARGE, order.order, {"amount": order.total, "customer": order.customer.id})


async def charge(job: Job, context: Context[Settings]) -> Payload:
    """Ask the provider, under a key that stays the same: however often it is asked, it charges once."""
    url, key = f"{context.settings.provider_url}/charges", {"Idempotency-Key": job.key}
    answer = await context.http.post(url, json={"reference": job.key, **job.data}, headers=key, timeout=5)
    if answer.status_code == 402:
        return PaymentFailed(order=job.key, amount=job.data["amount"], reference=job.key, reason="declined")
    answer.raise_for_status()  # slow, limited or out of order: the job is tried again
    return PaymentReceived(order=job.key, amount=job.data["amount"], reference=job.key)


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Tell what came of it, in the transaction that removes the job."""
    for each in done:
        tx.publish(each.outcome, key=each.job.key, cause=each.cause)


SERVICE = Service(
    name="payments",
    settings=Settings,
    router=APIRouter(),
    publishes=(PaymentReceived, PaymentFailed),
    handlers={OrderPlaced: hear},
    jobs={CHARGE: Work(charge, settle, AGAIN, concurrency=32, lease=timedelta(seconds=8))},
)

if __name__ == "__main__":
    upgrade(SERVICE.name, os.environ["SLICELINE_DATABASE_URL"], Path(__file__).parent / "migrations")
    run(SERVICE)
