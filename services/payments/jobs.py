"""Charges and voids payments at the provider, and gives parts of them back.

Every call takes a slot of the shared pace; nothing here holds a transaction open while it waits.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

import msgspec

from backbone.context import Context
from backbone.decision import fold
from backbone.errors import SlicelineError
from backbone.jobs.work import Done, Job, Postpone, Work, lock, rest
from backbone.running.coalescer import PATIENCE
from backbone.running.retry import RetryPolicy
from backbone.storage.database import Tx
from services.payments import decisions, pace, store
from services.payments.decisions import Decision, Payment, Refund, Task
from services.payments.provider import (
    CALL_SECONDS,
    Absent,
    Busy,
    Charged,
    Declined,
    Outcome,
    Paid,
    Provider,
    Refused,
    Unknown,
    Voided,
)
from services.payments.settings import Settings

# How many jobs of a kind one process holds: with the provider taking a second a call, enough for some 30 a second,
# and few enough that at the default pace the last of them gets its slot before pace.PATIENCE is over.
CONCURRENCY = 32
# Longer than the longest run: a slot, a question, another slot (with twice the patience) and a charge. No longer than
# that, because what a killed process had in hand waits for it.
LEASE = 3 * pace.PATIENCE + timedelta(seconds=2 * CALL_SECONDS + 1)


class ProviderUnsure(SlicelineError):
    """The payment provider did not say what happened; it is asked again."""


Decide = Callable[[Payment], Decision | None]
"""What an outcome means for the payment as it stands when it is settled."""
DecideRefund = Callable[[Payment, Refund], Decision | None]
"""What an outcome means for a refund and its payment as they stand when it is settled."""
REFUNDS_FIRST = timedelta(seconds=1)
"""How long voiding waits for a refund of the same payment that is not settled, before it looks again."""


class Attempt(msgspec.Struct, frozen=True):
    """Describes one run at a payment.

    `is_first` tells that no earlier one can have reached the provider.
    """

    payment: Payment
    is_first: bool


async def charge(job: Job, context: Context[Settings]) -> Decide | None:
    """Charge an order once.

    Where an earlier attempt may have done it, the provider is asked first.
    """
    settings = context.settings
    await _take_slot(context)
    attempt = await context.coalesce(_begin).submit(job.key)
    if attempt is None:
        return None
    outcome = await _ask_or_charge(attempt, context)
    if isinstance(outcome, Busy):
        await _hold_off(outcome, context)
        await _not_attempted(attempt, job, context)
        raise Postpone(outcome.retry_after)
    give_up_after = timedelta(seconds=settings.payment_give_up_seconds)
    overdue = decisions.is_overdue(attempt.payment, context.database.now(), give_up_after)
    return _after_charging(outcome, overdue)


async def void(job: Job, context: Context[Settings]) -> Decide:
    """Void an order's reference, for as long as it takes; what it gives back is what refunds have left."""
    if await store.has_open_refunds(context.database, job.key):
        raise Postpone(REFUNDS_FIRST)
    await _take_slot(context)
    outcome = await _provider(context).void(job.key)
    if isinstance(outcome, Busy):
        await _hold_off(outcome, context)
        raise Postpone(outcome.retry_after)
    if not isinstance(outcome, Voided):
        raise ProviderUnsure(f"Voiding {job.key}: {outcome}")
    return decisions.refunded if outcome.refunded else decisions.voided


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Decide by how the payments stand now, and write what changes."""
    payments = await store.lock_all(tx, {each.job.key for each in done})
    decided = fold(payments, done, lambda each: each.job.key, _decide)
    for order, each, decision in decided:
        tx.apply(decision, key=order, cause=each.cause)
    await store.save_all(tx, decided.changed.values())


def _decide(payment: Payment | None, done: Done) -> Decision | None:
    decide: Decide = done.outcome
    return decide(payment) if payment else None


async def refund(job: Job, context: Context[Settings]) -> DecideRefund | None:
    """Give a refund back. The provider knows it by its name, so it can be asked again whatever became of a call."""
    found = (await store.find_refunds(context.database, [job.key])).get(job.key)
    if found is None or found.status != "requested":
        return None
    await _take_slot(context)
    outcome = await _provider(context).refund(found)
    match outcome:
        case Paid():
            return decisions.refund_paid
        case Refused(reason):
            return partial(decisions.refund_refused, why=f"The payment provider refused it: {reason}.")
        case Busy(pause):
            await _hold_off(outcome, context)
            raise Postpone(pause)
    raise ProviderUnsure(f"Refunding {job.key}: {outcome}")


async def settle_refunds(done: Sequence[Done], tx: Tx) -> None:
    """Decide by how the refunds and their payments stand now, and write what changes."""
    payments = await store.lock_all(tx, {each.job.data["order"] for each in done})
    refunds = await store.find_refunds(tx.raw, [each.job.key for each in done])

    def decide(payment: Payment | None, each: Done) -> Decision | None:
        found, outcome = refunds.get(each.job.key), each.outcome
        return outcome(payment, found) if payment and found else None

    decided = fold(payments, done, lambda each: each.job.data["order"], decide)
    for order, each, decision in decided:
        tx.apply(decision, key=order, cause=each.cause)
    await store.save_all(tx, [each for order, each in decided.changed.items() if each != payments[order]])
    await store.save_refunds(tx, [refund for _, _, decision in decided for refund in decision.refunds])


def _after_charging(outcome: Outcome, overdue: bool) -> Decide:
    """Return the decision that an outcome calls for.

    Raises ProviderUnsure where only another attempt can tell.
    """
    match outcome:
        case Charged():
            return decisions.charged
        case Declined(reason):
            return partial(decisions.declined, reason=f"The payment was declined: {reason}.")
        case Voided():
            return partial(decisions.declined, reason="The payment was voided at the provider.")
        case Refused(reason):
            return partial(decisions.given_up, reason=f"The payment provider refused the request: {reason}.")
        case Unknown() | Absent() if overdue:
            return partial(decisions.given_up, reason="The payment provider could not be reached in time.")
        case _:
            raise ProviderUnsure(f"The payment provider did not say what happened ({outcome}); it is asked again.")


async def _begin(context: Context[Settings], orders: Sequence[str]) -> Sequence[Attempt | None]:
    """Commit, before anything is charged, that something may be.

    Returns None for what must not be charged any more.
    """
    async with context.database.transaction(patience=PATIENCE) as tx:
        before = await store.lock_all(tx, orders)
        begun = {order: decisions.begun(payment, tx.now) for order, payment in before.items()}
        await store.save_all(tx, [each for each in begun.values() if each])
    return [
        Attempt(payment, is_first=before[order].first_attempt_at is None) if (payment := begun.get(order)) else None
        for order in orders
    ]


async def _ask_or_charge(attempt: Attempt, context: Context[Settings]) -> Outcome:
    provider = _provider(context)
    if not attempt.is_first:
        found = await provider.look_up(attempt.payment.order)
        if not isinstance(found, Absent):
            return found
        # Twice the patience, because whoever got the first slot should not have to queue for both again.
        await _take_slot(context, pace.PATIENCE * 2)
    return await provider.charge(attempt.payment)


async def _not_attempted(attempt: Attempt, job: Job, context: Context[Settings]) -> None:
    """Let the time until giving up begin with the first attempt that the provider takes.

    Raises LeaseLost when another run has the job by now: the time may be that one's.
    """
    if not attempt.is_first:
        return
    async with context.database.transaction() as tx:
        payment = await store.lock(tx, attempt.payment.order)
        await lock(tx, job)
        if payment and (waiting := decisions.refused_for_rate(payment)):
            await store.save(tx, waiting)


async def _take_slot(context: Context[Settings], patience: timedelta = pace.PATIENCE) -> None:
    await pace.take_slot(context.database, context.settings.provider_rate, patience, partial(rest, context))


async def _hold_off(busy: Busy, context: Context[Settings]) -> None:
    """Have all replicas pause, whatever has become of the job whose call was refused."""
    await pace.hold_off(context.database, context.settings.provider_rate, busy.retry_after)


def _provider(context: Context[Settings]) -> Provider:
    return Provider(context.http, context.settings.provider_url)


JOBS: Mapping[str, Work[Settings]] = {
    Task.CHARGE: Work(charge, settle, RetryPolicy(longest=timedelta(seconds=30)), concurrency=CONCURRENCY, lease=LEASE),
    Task.REFUND: Work(refund, settle_refunds, RetryPolicy(longest=timedelta(seconds=60)), concurrency=8, lease=LEASE),
    Task.VOID: Work(void, settle, RetryPolicy(longest=timedelta(seconds=60)), concurrency=8, lease=LEASE),
}
