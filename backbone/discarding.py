"""Discarding: an operator gives up a dead letter that nothing can mend. It is kept, with who did so, when and why."""

import asyncpg

from backbone import sql
from backbone.database import Tx
from backbone.logs import logger


async def discard(tx: Tx, consumer: str, letter: int, *, by: str, reason: str) -> asyncpg.Record | None:
    """Move a dead letter to the discarded ones; returns its place, key, type and error, None when there is none.

    Locks the parked key as consumer and redrive do. The key stays parked until what waits behind is redriven.
    """
    where = await tx.raw.fetchrow(sql.LETTER_KEY, consumer, letter)
    if where is None:
        return None
    await tx.raw.fetch(sql.PARKED_LOCK, consumer, [where["topic"]], [where["key"]])
    return await tx.raw.fetchrow(sql.LETTER_DISCARD, letter, by, reason)


def tell(letter: int, gone: asyncpg.Record, *, by: str, reason: str) -> None:
    """Log that a dead letter was discarded, once that is committed."""
    logger.warning(
        "a dead letter was discarded", action="letter-discarded", letter=letter, by=by, reason=reason, **gone
    )
