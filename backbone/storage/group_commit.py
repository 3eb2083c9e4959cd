"""Group commit: commands that arrive together share one transaction, and each is answered after its commit.

What is already there, because a flush is run again or because a client sends again, is recognised by its
Idempotency-Key or by its own id.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from backbone.events.payload import Cause
from backbone.running.gathering import PATIENCE, Gathering
from backbone.storage.database import Database, Tx
from backbone.storage.idempotency import Claim, Kept, KeyReused, Name, Reply, claim_all

T = TypeVar("T")


@dataclass(frozen=True, eq=False, slots=True)
class Entrant(Generic[T]):
    """A command that has been decided and waits to be written; `reply` is what it is answered once it is."""

    item: T
    cause: Cause
    reply: Reply
    claim: Claim | None


Write = Callable[[Tx, Sequence[Entrant[T]]], Awaitable[None]]
"""Writes many at once. Given the same ones again, after a commit that was not heard of, it must write nothing."""


class GroupCommit(Generic[T]):
    """Writes entrants of one kind, many in one transaction."""

    def __init__(self, database: Database, write: Write[T]) -> None:
        self._database = database
        self._write = write
        self._gathering = Gathering("group commit", self._flush)

    def __len__(self) -> int:
        """How many wait for the flush after the one under way."""
        return len(self._gathering)

    async def join(self, entrant: Entrant[T]) -> Reply:
        """Go with the next flush; returns the reply, or that of the first one under the same key, once committed.

        Raises KeyReused when the key was another request's, and whatever writing this very entrant raises.
        """
        return await self._gathering.join(entrant)

    async def _flush(self, entrants: Sequence[Entrant[T]]) -> Sequence[Reply | Exception]:
        first = _first_of_each_key(entrants)
        async with self._database.transaction(patience=PATIENCE) as tx:
            known = await claim_all(tx, [(each.claim, each.reply) for each in first if each.claim])
            fresh = [each for each in first if each.claim is None or each.claim.name not in known]
            if fresh:
                await self._write(tx, fresh)
        ours = {each.claim.name: _kept(each.claim, each.reply) for each in fresh if each.claim}
        return [_outcome(each, ours | known) for each in entrants]


def _first_of_each_key(entrants: Sequence[Entrant[T]]) -> list[Entrant[T]]:
    """Twins that came together: only the first is written, the others get its answer."""
    named = {each.claim.name if each.claim else id(each): each for each in reversed(entrants)}
    return list(reversed(named.values()))


def _outcome(entrant: Entrant[T], kept: Mapping[Name, Kept]) -> Reply | Exception:
    if entrant.claim is None:
        return entrant.reply
    found = kept[entrant.claim.name]
    return found.reply if found.is_for(entrant.claim) else KeyReused(entrant.claim.key)


def _kept(claim: Claim, reply: Reply) -> Kept:
    return Kept(claim.fingerprint, claim.meaning, reply)
