"""Gives up dead letters that nothing can mend, for an operator, and takes that back.

What is given up is kept, with who did so, when and why. It stays given up when its topic is read again: an event counts
as handled, and a record that is none is known by its place. Until it is purged it can be restored to where it stood.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from backbone.consuming import acts, inbox, letters_sql, parking, sql
from backbone.observing.logs import logger
from backbone.storage.database import Tx

MOST = 5000
"""How many letters one transaction discards or restores; it holds their keys, and their events wait for it."""


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Says which letters: one, all of a key, or those that failed for the reason that a fingerprint stands for."""

    letter: int | None = None
    key: str | None = None
    fingerprint: str | None = None

    def told(self) -> dict[str, Any]:
        """Return what was named."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


async def discard(tx: Tx, consumer: str, which: Which, *, actor: str, reason: str) -> list[asyncpg.Record]:
    """Move dead letters to the discarded ones, `MOST` at once; return each one's number, place, key, type and error.

    Locks their parked keys as consumer and redrive do. A key stays parked until what waits behind is redriven; where
    nothing does it is open again.
    """
    asked = msgspec.structs.asdict(which)
    found = await letters_sql.LETTERS_WANTED.fetch(tx.raw, consumer=consumer, most=MOST, **asked)
    keys = parking.keys_of(found)
    await sql.PARKED_LOCK.fetch(tx.raw, consumer=consumer, wanted=keys)
    given = {"ids": [row["id"] for row in found], "actor": actor, "reason": reason}
    gone = await letters_sql.LETTERS_DISCARD.fetch(tx.raw, **given)
    if gone:
        await inbox.give_up(tx, consumer, map(parking.letter_of, gone))
        await letters_sql.OPEN_KEYS.execute(tx.raw, consumer=consumer, wanted=keys)
        await acts.note(tx, actor, "discard", **_about(which, gone), reason=reason)
    return gone


async def restore(tx: Tx, consumer: str, which: Which, *, actor: str) -> list[asyncpg.Record]:
    """Put discarded letters back to where they stood among those of their keys, which are parked again, `MOST` at once.

    Later events of a key that was open meanwhile may have been handled. Waits for the batch that the consumer has in
    hand, so that none of them slips past while the key closes.
    """
    asked = msgspec.structs.asdict(which)
    found = await letters_sql.DISCARDED_WANTED.fetch(tx.raw, consumer=consumer, most=MOST, **asked)
    keys = parking.keys_of(found)
    places = sorted({(row["topic"], row["partition"]) for row in found})
    await letters_sql.PLACES_LOCK.execute(tx.raw, consumer=consumer, place=places)
    await sql.PARK_KEY.execute(tx.raw, consumer=consumer, parked=keys)
    back = await letters_sql.LETTERS_RESTORE.fetch(tx.raw, ids=[row["id"] for row in found])
    if back:
        await inbox.take_back(tx, consumer, [(parking.letter_of(row), row["discarded_at"]) for row in back])
        await acts.note(tx, actor, "restore", **_about(which, back))
    await letters_sql.OPEN_KEYS.execute(tx.raw, consumer=consumer, wanted=keys)  # where somebody else was quicker
    return back


async def behind(tx: Tx, consumer: str, which: Which, gone: Sequence[asyncpg.Record]) -> list[tuple[str, str]]:
    """Return the keys of discarded letters that can go on: what is left of them is nothing that is to be discarded."""
    given = {"wanted": parking.keys_of(gone), **msgspec.structs.asdict(which)}
    return parking.keys_of(await letters_sql.KEYS_LEFT.fetch(tx.raw, consumer=consumer, **given))


def tell_many(count: int, which: Which, *, by: str, reason: str) -> None:
    """Log that dead letters were discarded, once that is committed; which they were the act has."""
    given = {"count": count, **which.told(), "by": by, "reason": reason}
    logger.warning("dead letters were discarded", action="letters-discarded", **given)


def tell(gone: asyncpg.Record, *, by: str, reason: str) -> None:
    """Log that a dead letter was discarded, once that is committed."""
    about = {name: gone[name] for name in ("topic", "partition", "offset", "key", "type", "error")}
    logger.warning(
        "a dead letter was discarded", action="letter-discarded", letter=gone["id"], by=by, reason=reason, **about
    )


def _about(which: Which, rows: Sequence[asyncpg.Record]) -> dict[str, Any]:
    return {**which.told(), "count": len(rows), "letters": [row["id"] for row in rows]}
