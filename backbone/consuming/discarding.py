"""Gives up a dead letter that nothing can mend, for an operator; it is kept, with who did so, when and why.

What was given up stays so when its topic is read again: an event counts as handled, and a record that is none is known
by its place.
"""

import asyncpg

from backbone.consuming import inbox, parking, sql
from backbone.observing.logs import logger
from backbone.storage.database import Tx


async def discard(tx: Tx, consumer: str, letter: int, *, by: str, reason: str) -> asyncpg.Record | None:
    """Move a dead letter to the discarded ones; return its place, key, type and error, or None when there is none.

    Locks the parked key as consumer and redrive do. The key stays parked until what waits behind is redriven; where
    nothing does it is open again.
    """
    row = await sql.LETTER.fetchrow(tx.raw, consumer=consumer, id=letter)
    if row is None:
        return None
    await sql.PARKED_LOCK.fetch(tx.raw, consumer=consumer, wanted=[(row["topic"], row["key"])])
    gone = await sql.LETTER_DISCARD.fetchrow(tx.raw, id=letter, by=by, reason=reason)
    if gone is not None:
        await inbox.give_up(tx, consumer, parking.letter_of(row))
        await sql.OPEN_KEY.execute(tx.raw, consumer=consumer, topic=row["topic"], key=row["key"])
    return gone


def tell(letter: int, gone: asyncpg.Record, *, by: str, reason: str) -> None:
    """Log that a dead letter was discarded, once that is committed."""
    logger.warning(
        "a dead letter was discarded", action="letter-discarded", letter=letter, by=by, reason=reason, **gone
    )
