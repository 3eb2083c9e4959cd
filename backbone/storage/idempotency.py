"""Stores the first reply under an Idempotency-Key in the transaction of its effect, and gives it again.

draft-ietf-httpapi-idempotency-key-header. `scope` is method and path. `meaning` is a digest of what the request says,
`fingerprint` one of the bytes in which it said so: code of the release before compares that one, and kept no meaning.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from backbone.errors import SlicelineError
from backbone.storage.database import Tx
from backbone.storage.statement import Statement, rows
from backbone.storage.tables import idempotency_keys

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """Is a request's claim to be the first under its key."""

    scope: str
    key: str
    fingerprint: bytes
    meaning: bytes

    @property
    def name(self) -> Name:
        """The scope and key, which are unique together."""
        return self.scope, self.key


@dataclass(frozen=True, slots=True)
class Reply:
    """Holds an answer as it is sent and as it is stored."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredReply:
    """Holds what is stored under a key."""

    fingerprint: bytes
    meaning: bytes | None
    reply: Reply

    def is_for(self, claim: Claim) -> bool:
        """Tell whether it was stored for the same request."""
        if self.meaning is None:
            return self.fingerprint == claim.fingerprint
        return self.meaning == claim.meaning


class Replied(NamedTuple):
    """Holds a claim whose reply is known beforehand."""

    claim: Claim
    reply: Reply


class KeyReused(SlicelineError):
    """The Idempotency-Key was used for another request."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


# Waits for a concurrent twin, whose row is not yet visible, until it ends. DO UPDATE and not DO NOTHING: only so the
# same statement also returns a row that is there already, and no housekeeping can delete it in between. A committed
# row always has a status, so one without is ours, claimed a moment ago.
_CLAIM = Statement(
    """
INSERT INTO idempotency_keys AS kept (:new.columns) SELECT :new.* FROM :new
ON CONFLICT (scope, key) DO UPDATE SET key = excluded.key
RETURNING fingerprint, meaning, status, headers::text AS headers, body
""",
    new=rows(idempotency_keys, without=("status", "headers", "body", "created_at")),
)

_KEEP = Statement("""
UPDATE idempotency_keys SET status = :status, headers = :headers::text::jsonb, body = :body
WHERE scope = :scope AND key = :key
""")

# The same for many keys whose replies are known beforehand. A row that was there has been updated, so it has an xmax.
_CLAIM_ALL = Statement(
    """
INSERT INTO idempotency_keys AS kept (:new.columns) SELECT :new.* FROM :new ORDER BY scope, key
ON CONFLICT (scope, key) DO UPDATE SET key = excluded.key
RETURNING scope, key, fingerprint, meaning, status, headers::text AS headers, body, xmax = 0 AS is_new
""",
    new=rows(
        idempotency_keys,
        without=("created_at",),
        scope="claim.scope",
        key="claim.key",
        fingerprint="claim.fingerprint",
        meaning="claim.meaning",
        status="reply.status",
        headers=lambda replied: _headers(replied.reply),
        body="reply.body",
    ),
)


async def claim(tx: Tx, wanted: Claim) -> Reply | None:
    """Claim one key, waiting for a concurrent twin to end; return the reply that is stored under it already.

    None: the key is ours, and `keep` has to follow in this transaction. Raises KeyReused.
    """
    row = await _CLAIM.fetchrow(tx.raw, new=[wanted])
    assert row is not None  # noqa: S101  DO UPDATE always returns its row
    if row["status"] is None:
        return None
    kept = _kept(row)
    if not kept.is_for(wanted):
        raise KeyReused(wanted.key)
    return kept.reply


async def keep(tx: Tx, wanted: Claim, reply: Reply) -> None:
    """Store the reply under a key that this transaction has claimed."""
    await _KEEP.execute(
        tx.raw,
        scope=wanted.scope,
        key=wanted.key,
        status=reply.status,
        headers=_headers(reply),
        body=reply.body,
    )


async def claim_all(tx: Tx, wanted: Iterable[Replied]) -> dict[Name, StoredReply]:
    """Claim many different keys with their replies in one sorted sweep; return those that were taken before."""
    new = sorted(wanted, key=lambda each: each.claim.name)
    found = await _CLAIM_ALL.fetch(tx.raw, new=new) if new else []
    return {(row["scope"], row["key"]): _kept(row) for row in found if not row["is_new"]}


def _headers(reply: Reply) -> str:
    return json.dumps(dict(reply.headers))


def _kept(row: asyncpg.Record) -> StoredReply:
    return StoredReply(
        row["fingerprint"], row["meaning"], Reply(row["status"], json.loads(row["headers"]), row["body"])
    )
