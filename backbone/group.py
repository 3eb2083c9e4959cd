"""Group commit: commands that arrive together share one transaction.

A commit costs the same for one row or for two hundred, so while one flush is under way the next commands gather, and
then go together: one flush in flight, each command answered after the commit. A command that fails takes nobody with
it: the flush is halved until it stands alone. When the connection breaks and nobody knows whether the commit
happened, the very same flush is run again: what is already there is recognised by its Idempotency-Key or its own id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from backbone.database import Database, Tx
from backbone.events import Cause
from backbone.faults import is_passing
from backbone.idempotency import Claim, Kept, KeyReused, Name, Reply, claim_all
from backbone.retry import RetryPolicy

T = TypeVar("T")

MOST = 256
AGAIN = RetryPolicy(first=timedelta(milliseconds=50), longest=timedelta(seconds=1), within=timedelta(seconds=10))


@dataclass(frozen=True, eq=False, slots=True)
class Entrant(Generic[T]):
    """A command that has been decided and waits to be written; `reply` is what it is answered once it is."""

    item: T
    cause: Cause
    reply: Reply
    claim: Claim | None


Write = Callable[[Tx, Sequence[Entrant[T]]], Awaitable[None]]
"""Writes many at once. Given the same ones again, after a commit that was not heard of, it must write nothing."""

_Waiting = tuple[Entrant[T], asyncio.Future[Reply]]


class GroupCommit(Generic[T]):
    """Writes entrants of one kind, many in one transaction."""

    def __init__(self, database: Database, write: Write[T]) -> None:
        self._database = database
        self._write = write
        self._waiting: list[_Waiting[T]] = []
        self._flusher: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many wait for the flush after the one under way."""
        return len(self._waiting)

    async def join(self, entrant: Entrant[T]) -> Reply:
        """Go with the next flush; returns the reply, or that of the first one under the same key, once committed.

        Raises KeyReused when the key was another request's, and whatever writing this very entrant raises.
        """
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((entrant, answered))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_all())
        return await answered

    async def _flush_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._settle(group)
        finally:
            self._flusher = None

    async def _settle(self, group: Sequence[_Waiting[T]]) -> None:
        try:
            outcomes = await self._outlast([entrant for entrant, _ in group])
        except Exception as error:
            if len(group) > 1 and not is_passing(error):
                middle = len(group) // 2
                await self._settle(group[:middle])
                await self._settle(group[middle:])
                return
            outcomes = [error] * len(group)
        for (_, answered), outcome in zip(group, outcomes, strict=True):
            _answer(answered, outcome)

    async def _outlast(self, entrants: Sequence[Entrant[T]]) -> Sequence[Reply | Exception]:
        """Run the flush until its outcome is known; gives up after ten seconds of passing faults."""
        loop = asyncio.get_running_loop()
        began, attempt = loop.time(), 0
        while True:
            attempt += 1
            try:
                return await self._flush(entrants)
            except Exception as error:
                delay = AGAIN.next_delay(attempt, timedelta(seconds=loop.time() - began))
                if delay is None or not is_passing(error):
                    raise
                await asyncio.sleep(delay.total_seconds())

    async def _flush(self, entrants: Sequence[Entrant[T]]) -> Sequence[Reply | Exception]:
        first = _first_of_each_key(entrants)
        async with self._database.transaction() as tx:
            known = await claim_all(tx, [(each.claim, each.reply) for each in first if each.claim])
            fresh = [each for each in first if each.claim is None or each.claim.name not in known]
            if fresh:
                await self._write(tx, fresh)
        ours = {each.claim.name: Kept(each.claim.fingerprint, each.reply) for each in fresh if each.claim}
        return [_outcome(each, ours | known) for each in entrants]


def _first_of_each_key(entrants: Sequence[Entrant[T]]) -> list[Entrant[T]]:
    """Twins that came together: only the first is written, the others get its answer."""
    named = {each.claim.name if each.claim else id(each): each for each in reversed(entrants)}
    return list(reversed(named.values()))


def _outcome(entrant: Entrant[T], kept: Mapping[Name, Kept]) -> Reply | Exception:
    if entrant.claim is None:
        return entrant.reply
    found = kept[entrant.claim.name]
    return found.reply if found.fingerprint == entrant.claim.fingerprint else KeyReused(entrant.claim.key)


def _answer(waiting: asyncio.Future[Reply], outcome: Reply | Exception) -> None:
    if waiting.done():  # its client has gone; the effect stays
        return
    if isinstance(outcome, Exception):
        waiting.set_exception(outcome)
    else:
        waiting.set_result(outcome)
