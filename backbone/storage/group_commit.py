"""Writes commands that arrive together in one transaction (group commit), and answers each after the commit.

What is already there, because a flush is run again or because a client sends again, is recognised by its
Idempotency-Key or by its own id.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from backbone.events.payload import Cause
from backbone.running.coalescer import PATIENCE, Coalescer
from backbone.storage import audit
from backbone.storage.database import Database, Tx
from backbone.storage.idempotency import Claim, KeyReused, Name, Replied, Reply, StoredReply, claim_all

T = TypeVar("T")


@dataclass(frozen=True, eq=False, slots=True)
class PendingCommand(Generic[T]):
    """Is a command that has been decided and waits to be written; `reply` is sent after the commit."""

    item: T
    cause: Cause
    reply: Reply
    claim: Claim | None
    act: str | None = None
    """What the log of acts says of it, where it is one of staff or operators."""


Write = Callable[[Tx, Sequence[PendingCommand[T]]], Awaitable[None]]
"""Writes many at once. Given the same ones again, after a commit that was not heard of, it must write nothing."""


class GroupCommit(Generic[T]):
    """Writes commands of one kind, many in one transaction."""

    def __init__(self, database: Database, write: Write[T]) -> None:
        self._database = database
        self._write = write
        self._coalescer = Coalescer("group commit", self._flush)

    async def commit(self, pending: PendingCommand[T]) -> Reply:
        """Write the command with the next flush; return its reply, or that of the first under its key, once committed.

        Raises KeyReused when the key was another request's, and whatever writing this very command raises.
        """
        return await self._coalescer.submit(pending)

    async def _flush(self, commands: Sequence[PendingCommand[T]]) -> Sequence[Reply | Exception]:
        first = _first_of_each_key(commands)
        async with self._database.transaction(patience=PATIENCE) as tx:
            known = await claim_all(tx, [Replied(each.claim, each.reply) for each in first if each.claim])
            fresh = [each for each in first if each.claim is None or each.claim.name not in known]
            if fresh:
                await self._write(tx, fresh)
            if acts := [each.act for each in fresh if each.act]:
                await audit.add(tx, acts)
        ours = {each.claim.name: _kept(each.claim, each.reply) for each in fresh if each.claim}
        return [_outcome(each, ours | known) for each in commands]


def _first_of_each_key(commands: Sequence[PendingCommand[T]]) -> list[PendingCommand[T]]:
    """Choose the first command under each key: only it is written, and the others get its reply."""
    named = {each.claim.name if each.claim else id(each): each for each in reversed(commands)}
    return list(reversed(named.values()))


def _outcome(pending: PendingCommand[T], kept: Mapping[Name, StoredReply]) -> Reply | Exception:
    if pending.claim is None:
        return pending.reply
    found = kept[pending.claim.name]
    return found.reply if found.is_for(pending.claim) else KeyReused(pending.claim.key)


def _kept(claim: Claim, reply: Reply) -> StoredReply:
    return StoredReply(claim.fingerprint, claim.meaning, reply)
