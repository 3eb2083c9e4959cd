"""Idempotency keys: the first answer under a key is kept in the transaction of its effect, and given again.

draft-ietf-httpapi-idempotency-key-header. `scope` is method and path. `meaning` is a digest of what the request says,
`fingerprint` one of the bytes in which it said so: code of the release before compares that one, and kept no meaning.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from backbone.errors import SlicelineError
from backbone.storage import sql
from backbone.storage.database import Tx

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A request's claim to be the first under its key."""

    scope: str
    key: str
    fingerprint: bytes
    meaning: bytes

    @property
    def name(self) -> Name:
        """What has to be unique."""
        return self.scope, self.key


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it goes out and as it is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What stands under a key."""

    fingerprint: bytes
    meaning: bytes | None
    reply: Reply

    def is_for(self, claim: Claim) -> bool:
        """Whether it was kept for the same request."""
        if self.meaning is None:
            return self.fingerprint == claim.fingerprint
        return self.meaning == claim.meaning


class KeyReused(SlicelineError):
    """The Idempotency-Key was used for another request."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


async def claim(tx: Tx, wanted: Claim) -> Reply | None:
    """Claim one key, waiting for a concurrent twin to end; returns what is kept under it already.

    None: the key is ours, and `keep` has to follow in this transaction. Raises KeyReused.
    """
    row = await tx.raw.fetchrow(sql.KEY_CLAIM, wanted.scope, wanted.key, wanted.fingerprint, wanted.meaning)
    assert row is not None  # noqa: S101  DO UPDATE always returns its row
    if row["status"] is None:
        return None
    kept = _kept(row)
    if not kept.is_for(wanted):
        raise KeyReused(wanted.key)
    return kept.reply


async def keep(tx: Tx, wanted: Claim, reply: Reply) -> None:
    """Keep the answer under a key claimed before."""
    headers = json.dumps(dict(reply.headers))
    await tx.raw.execute(sql.KEY_KEEP, wanted.scope, wanted.key, reply.status, headers, reply.body)


async def claim_all(tx: Tx, wanted: Sequence[tuple[Claim, Reply]]) -> dict[Name, StoredReply]:
    """Claim many different keys with their answers in one sorted sweep; returns those that were taken before."""
    if not wanted:
        return {}
    ordered = sorted(wanted, key=lambda each: each[0].name)
    rows = await tx.raw.fetch(
        sql.KEYS_CLAIM,
        [claim.scope for claim, _ in ordered],
        [claim.key for claim, _ in ordered],
        [claim.fingerprint for claim, _ in ordered],
        [claim.meaning for claim, _ in ordered],
        [reply.status for _, reply in ordered],
        [json.dumps(dict(reply.headers)) for _, reply in ordered],
        [reply.body for _, reply in ordered],
    )
    return {(row["scope"], row["key"]): _kept(row) for row in rows if not row["is_new"]}


def _kept(row: asyncpg.Record) -> StoredReply:
    return StoredReply(
        row["fingerprint"], row["meaning"], Reply(row["status"], json.loads(row["headers"]), row["body"])
    )
