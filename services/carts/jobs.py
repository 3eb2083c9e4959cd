"""Places orders. No transaction is open while orders is called."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from backbone.context import Context
from backbone.decision import Decision, fold
from backbone.errors import SlicelineError
from backbone.jobs.work import Done, Job, Work
from backbone.running.retry import RetryPolicy
from backbone.storage.database import Tx
from backbone.values.sealed import FORGOTTEN
from services.carts import decisions, store
from services.carts.decisions import PLACE, Cart
from services.carts.orders import CALL_SECONDS, Orders, Placed, Refused, Unknown
from services.carts.settings import Settings

KNOWN_FOR = timedelta(hours=12)
"""How long after the first attempt it is tried again: orders knows a key for a day at least, and not for ever."""
PATIENCE = RetryPolicy(longest=timedelta(seconds=30), within=KNOWN_FOR)
# Longer than a call. No longer than that, because what a killed process had in hand waits for it.
LEASE = timedelta(seconds=CALL_SECONDS + 10)


class OrdersUnsure(SlicelineError):
    """Orders did not say what happened; it is asked again under the same key."""


class TooLongAgo(SlicelineError):
    """Orders may have forgotten the key, so that asking again could make a second order."""


class Forgotten(SlicelineError):
    """The customer was forgotten between two attempts: what is left would be refused, also where there is an order."""


class Decide(Protocol):
    """Decides what an answer means for the cart as it stands when it is settled."""

    def __call__(self, cart: Cart, /, *, now: datetime) -> Decision[Cart] | None: ...


async def place(job: Job, context: Context[Settings]) -> Decide:
    """Have orders make an order of a version of the cart, once however often it is tried."""
    if context.database.now() - job.first_attempt_at >= KNOWN_FOR:
        raise TooLongAgo("Look whether orders has this order; if not, retry the job.")
    version = job.data["version"]
    orders = Orders(context.http, context.settings.orders_url, context.own_token)
    order = json.loads(await context.sealing.opened_json(json.dumps(job.data["order"]).encode(), is_needed=True))
    if FORGOTTEN in (*order["customer"].values(), order.get("address")):
        if job.attempt > 1:
            raise Forgotten(
                "The customer was forgotten meanwhile. Look whether orders has this order; discard the job."
            )
        return partial(decisions.refused, version=version, reason="This customer was forgotten.", errors=())
    match await orders.place(order, f"cart/{job.key}/{version}", job.cause.correlationid):
        case Placed(order):
            return partial(decisions.placed, version=version, order=order)
        case Refused(reason, errors):
            return partial(decisions.refused, version=version, reason=reason, errors=errors)
        case Unknown(reason):
            raise OrdersUnsure(f"Orders did not say what happened ({reason}); it is asked again.")


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Write down what became of the checkouts, by how the carts stand now."""

    def decide(cart: Cart | None, each: Done) -> Decision[Cart] | None:
        meant: Decide = each.outcome
        return meant(cart, now=tx.now) if cart else None

    carts = await store.lock_all(tx, {each.job.key for each in done})
    decided = fold(carts, done, lambda each: each.job.key, decide)
    for cart, each, decision in decided:
        tx.apply(decision, key=cart, cause=each.cause)
    await store.save_all(tx, decided.changed.values())


JOBS: Mapping[str, Work[Settings]] = {PLACE: Work(place, settle, PATIENCE, concurrency=16, lease=LEASE)}
