"""Pauses a consumer, a key or a kind of job for an operator, and lets it go on; each act is kept, with who and when.

All replicas heed the row. A paused consumer stays in its group and begins no batch. A paused key waits as a parked one
does, its events behind it in order, without an error. Of a paused kind of job none is claimed. What is in hand ends.
"""

from collections.abc import Sequence

import asyncpg
import msgspec

from backbone.consuming import letters_sql, sql
from backbone.observing.logs import logger
from backbone.storage.database import Database, Tx

CONSUMER, KEY, JOB = "consumer", "key", "job"


class Wanted(msgspec.Struct, frozen=True):
    """Says what somebody wants to pause, and why."""

    what: str
    name: str
    reason: str


async def pause(tx: Tx, consumer: str, topics: Sequence[str], wanted: Wanted, *, by: str) -> asyncpg.Record | None:
    """Pause something and return the pause; None where it is paused already. `topics`: those in which a key waits."""
    made = await sql.PAUSE.fetchrow(tx.raw, what=wanted.what, name=wanted.name, reason=wanted.reason, by=by)
    if made is not None and wanted.what == KEY:
        await sql.PAUSE_KEY.execute(tx.raw, consumer=consumer, topics=topics, key=wanted.name, pause=made["id"])
    return made


async def resume(tx: Tx, consumer: str, number: int, *, by: str) -> asyncpg.Record | None:
    """End a pause and return it; None where there is none that lasts.

    A key with events behind it is then parked and due: it waits for a redrive.
    """
    ended = await sql.RESUME.fetchrow(tx.raw, id=number, by=by)
    if ended is not None and ended["what"] == KEY:
        for row in await sql.RESUME_KEY.fetch(tx.raw, pause=number):
            await letters_sql.OPEN_KEYS.execute(tx.raw, consumer=consumer, wanted=[(row["topic"], ended["name"])])
    return ended


def tell(database: Database, made: asyncpg.Record, action: str, *, by: str) -> None:
    """Wake whom a pause concerns, in all processes, and log it, once that is committed."""
    what, name = made["what"], made["name"]
    logger.warning(f"a {what} was {action}", action=f"{what}-{action}", name=name, by=by, reason=made["reason"])
    database.wakeups.rouse(what, name)


async def lasting(tx: Tx, wanted: Wanted) -> asyncpg.Record | None:
    """Return since when something is paused, and by whom; None when it is not."""
    return await sql.PAUSE_LASTING.fetchrow(tx.raw, what=wanted.what, name=wanted.name)
