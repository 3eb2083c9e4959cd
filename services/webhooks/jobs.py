"""Sends endpoints what they are owed, pings them, and forgets what is old."""

import asyncio
import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from backbone.context import Context
from backbone.ids import new_id
from backbone.jobs.work import Done, Job, Work, lock
from backbone.running.hurry import hurried
from backbone.running.retry import FOR_EVER
from backbone.storage.database import Tx
from backbone.values.texts import one_line
from backbone.version import VERSION
from services.webhooks import decisions, store
from services.webhooks.addresses import Refused
from services.webhooks.asking import asked_for
from services.webhooks.calling import Answer, Caller, Unreached
from services.webhooks.decisions import DELIVER, LONGEST_PAUSE, PATIENCE, PING
from services.webhooks.endpoint import SLOWEST, Attempt, Delivery, Endpoint, Pinged, Recovery, Round
from services.webhooks.messages import CLOUDEVENT, JSON, echoes, ping_of
from services.webhooks.planning import apply
from services.webhooks.settings import Settings
from services.webhooks.signing import signed
from services.webhooks.store import Tried

CONCURRENCY = 256
"""Endpoints that one process sends to at a time: each slow one takes one of these places, and no other's."""
ROUND_SECONDS = 5.0
"""So long a round begins to send; what it has begun it ends."""
LAST_SECONDS = 4.0
"""What is being sent has so long when the process stops; what is not answered by then is sent again."""
LEASE = timedelta(seconds=90)
"""Longer than the longest round: its beginning, and the longest timeout that the settings allow."""
MOST_SAID = 500
"""Characters of an answer that are kept."""

RECOVER = "recover"
RECOVER_MOST = 1000
"""Events that are looked at in one transaction."""
PRUNE = "prune"
PRUNE_EVERY = timedelta(hours=1)
PRUNE_MOST = 5000


@dataclass
class _Sending:
    """Sends the events of one round."""

    endpoint: Endpoint
    context: Context[Settings]
    began: float = field(default_factory=time.monotonic)
    begun: int = 0
    attempts: list[Attempt] = field(default_factory=list)

    async def send(self, deliveries: Sequence[Delivery]) -> None:
        """Send events by as many senders as the endpoint bears, each of which takes the next chain."""
        chains = iter(decisions.chains(self.endpoint, deliveries))
        async with asyncio.TaskGroup() as senders:
            for _ in range(self.endpoint.concurrency):
                senders.create_task(self._send_chains(chains))

    async def _send_chains(self, chains: Iterator[Sequence[Delivery]]) -> None:
        """Send chain after chain, unless nothing gets through at all."""
        for chain in chains:
            await self._send_chain(chain)
            if not any(each.got_through for each in self.attempts):
                return

    async def _send_chain(self, chain: Sequence[Delivery]) -> None:
        """Send events one by one, as long as they get through and the round lasts."""
        for delivery in chain:
            if not await self._turn() or not await self._send(delivery):
                return

    def ahead(self) -> float:
        """Return the seconds until the endpoint's rate allows the next."""
        rate = self.endpoint.rate
        return max(0.0, self.begun / max(rate, SLOWEST) - self._lasted()) if rate else 0.0

    async def _turn(self) -> bool:
        """Wait until the rate allows one more; tell whether it may still begin in this round."""
        wait = self.ahead()
        if self._lasted() + wait > ROUND_SECONDS or self.context.stopping.is_set():
            return False
        self.begun += 1
        await asyncio.sleep(wait)
        return not self.context.stopping.is_set()

    def _lasted(self) -> float:
        return time.monotonic() - self.began

    async def _send(self, delivery: Delivery) -> bool:
        """Send one event; tell whether it got through."""
        at, began = self.context.database.now(), time.monotonic()
        kind = CLOUDEVENT if delivery.is_event else JSON
        try:
            async with hurried(LEASE.total_seconds(), self.context.stopping, LAST_SECONDS):
                said = await _post(self.context, self.endpoint, delivery.event_id, delivery.body.encode(), at, kind)
        except TimeoutError:  # cut off by the process's end: nobody knows, so it is as if it had not begun
            return False
        attempt = Attempt(
            delivery=delivery,
            at=at,
            took_ms=round((time.monotonic() - began) * 1000),
            status=said.status if isinstance(said, Answer) else None,
            said=_kept(said),
            pause=said.retry_after if isinstance(said, Answer) else None,
            jitter=_jitter(),
        )
        self.attempts.append(attempt)
        return attempt.got_through


async def deliver(job: Job, context: Context[Settings]) -> Round:
    """Send an endpoint what is due, several events at once."""
    endpoint, due = await _begin(job, context)
    if endpoint is None:
        return Round()
    sending = _Sending(endpoint, context)
    await sending.send(due)
    free_at = context.database.now() + timedelta(seconds=sending.ahead())
    return Round(url=endpoint.url, attempts=tuple(sending.attempts), free_at=free_at)


async def _begin(job: Job, context: Context[Settings]) -> tuple[Endpoint | None, list[Delivery]]:
    """Note that the round runs, and look up what is due.

    Raises LeaseLost when the job was replaced before; from here on nobody replaces it.
    """
    async with context.database.transaction() as tx:
        endpoint = await store.lock(tx, job.key)
        await lock(tx, job)
        if endpoint is None:
            return None, []
        begun = decisions.round_begins(endpoint, tx.now)
        await store.save_all(tx, [begun])
        most, is_probe = decisions.most_of_round(endpoint), decisions.is_failing(endpoint)
        return begun, await store.find_next(tx, endpoint, most, is_probe=is_probe) if most else []


async def settle_rounds(done: Sequence[Done], tx: Tx) -> None:
    """Record what came of each attempt, judge the endpoints, and plan their next rounds."""
    rounds = {each.job.key: each for each in done}
    locked = await store.lock_all(tx, rounds)
    tried = [
        Tried(name, attempt, decisions.after(attempt, tx.now))
        for name in locked
        for attempt in rounds[name].outcome.attempts
    ]
    await store.settle_all(tx, tried)
    await store.hurry(tx, [name for name, each in locked.items() if decisions.is_back(each, rounds[name].outcome)])
    due = await store.find_next_due(tx, locked)
    ended = {
        name: decisions.round_ended(each, rounds[name].outcome, due.get(name), tx.now) for name, each in locked.items()
    }
    await apply(tx, ended, cause={name: each.cause for name, each in rounds.items()})


async def ping(job: Job, context: Context[Settings]) -> Pinged | None:
    """Send an endpoint a challenge, which it proves itself by answering with."""
    endpoint = await store.find(context.database, job.key)
    if endpoint is None:
        return None
    challenge, at, ping_id = secrets.token_urlsafe(24), context.database.now(), new_id()
    answer = await _post(context, endpoint, ping_id, ping_of(ping_id, at, endpoint.id, challenge), at, CLOUDEVENT)
    echoed = isinstance(answer, Answer) and 200 <= answer.status < 300 and echoes(answer.text, challenge)
    return Pinged(echoed=echoed, said=_unproven(answer), jitter=_jitter())


async def settle_pings(done: Sequence[Done], tx: Tx) -> None:
    """Let those that proved themselves have their events, and ping the others again."""
    pings = {each.job.key: each for each in done}
    pinged = {
        name: decisions.pinged(each, pings[name].outcome, pings[name].job.data.get("tries", 1), tx.now)
        for name, each in (await store.lock_all(tx, pings)).items()
    }
    await apply(tx, pinged, cause={name: each.cause for name, each in pings.items()})


async def recover(job: Job, _: Context[Settings]) -> Recovery:
    """Read what is to be sent again; that is looked up when it is settled."""
    return msgspec.convert(job.data, Recovery)


async def settle_recoveries(done: Sequence[Done], tx: Tx) -> None:
    """Owe endpoints again what they ask for, a part of it at a time."""
    locked = await store.lock_all(tx, {each.outcome.endpoint for each in done})
    for each in done:
        if endpoint := locked.get(each.outcome.endpoint):
            await _recover(tx, endpoint, each)
    await apply(tx, {name: decisions.owed(each, tx.now) for name, each in locked.items()})


async def _recover(tx: Tx, endpoint: Endpoint, done: Done) -> None:
    recovery: Recovery = done.outcome
    found = await store.find_between(tx, recovery, RECOVER_MOST)
    asked = {each.event_id for each in asked_for([endpoint], list(found.values())).get(endpoint.id, ())}
    wanted = [position for position, message in found.items() if message.event_id in asked]
    await store.owe_again(tx, endpoint.id, wanted, even_delivered=recovery.even_delivered)
    if len(found) == RECOVER_MOST:
        rest = replace(recovery, after=max(found))
        tx.schedule(RECOVER, done.job.key, msgspec.to_builtins(rest), cause=done.cause)


async def prune(_: Job, context: Context[Settings]) -> timedelta:
    """Return how long events are kept; what is older is looked up when that is settled."""
    return timedelta(days=context.settings.webhook_days)


async def settle_prunes(done: Sequence[Done], tx: Tx) -> None:
    """Forget what is older than it need be, and look again: at once where there is more."""
    for each in done:
        kept, tried = tx.now - each.outcome, tx.now - PATIENCE - LONGEST_PAUSE * 1.5
        forgotten = await store.prune(tx, kept, tried, PRUNE_MOST)
        due = tx.now if forgotten == PRUNE_MOST else tx.now + PRUNE_EVERY
        tx.schedule(PRUNE, PRUNE, due=due, cause=each.cause)


def _caller(context: Context[Settings]) -> Caller:
    settings = context.settings
    return Caller(settings.rules, settings.webhook_timeout_seconds)


async def _post(
    context: Context[Settings], endpoint: Endpoint, webhook_id: str, body: bytes, at: datetime, kind: str
) -> Answer | str:
    """Send a signed webhook and return the answer, or why there is none."""
    headers = {
        "Content-Type": kind,
        "User-Agent": f"Sliceline-Webhooks/{VERSION}",
        **signed(webhook_id, at, body, endpoint.valid_secrets(at)),
    }
    try:
        return await context.client(_caller).post(endpoint.url, headers, body)
    except Refused as refused:
        return f"The address is not called: it {refused}."
    except Unreached as error:
        return str(error)


def _kept(answer: Answer | str) -> str:
    return (answer.text if isinstance(answer, Answer) else answer)[:MOST_SAID]


def _unproven(answer: Answer | str) -> str:
    if isinstance(answer, str):
        return answer
    return f"It answered {answer.status}, without the challenge: {one_line(answer.text[:MOST_SAID])}"


def _jitter() -> float:
    return random.random()  # noqa: S311  to spread load, no secret


JOBS: Mapping[str, Work[Settings]] = {
    DELIVER: Work(deliver, settle_rounds, FOR_EVER, concurrency=CONCURRENCY, lease=LEASE),
    PING: Work(ping, settle_pings, FOR_EVER, concurrency=16),
    RECOVER: Work(recover, settle_recoveries, FOR_EVER),
    PRUNE: Work(prune, settle_prunes, FOR_EVER, concurrency=1),
}
