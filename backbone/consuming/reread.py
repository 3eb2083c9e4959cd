"""Has topics read again for one listener: its places go back to the beginning, and the inbox lets through the new.

It is for a handler that was added, or whose TYPE was mended, after its events had gone by: occurrences of other types
have been handled, and are repetitions. Beside a running consumer it is safe, because the moved rows fence off its batch
in hand; within seconds it seeks anew.
"""

from backbone.consuming import sql
from backbone.errors import SlicelineError
from backbone.observing.logs import logger
from backbone.storage.database import Database


class KeysAreParked(SlicelineError):
    """Events of parked keys would line up behind later ones of their key. Redrive or discard them first."""


async def reread(database: Database, consumer: str, topic: str | None) -> list[str]:
    """Set a consumer's offsets of a topic, or of all, to the beginning; return which topics. Raises KeysAreParked."""
    async with database.transaction() as tx:
        moved = {row["topic"] for row in await sql.OFFSETS_ANEW.fetch(tx.raw, consumer=consumer, topic=topic)}
        parked = {row["topic"] for row in await sql.PARKED_TOPICS.fetch(tx.raw, consumer=consumer)}
        if moved & parked:
            raise KeysAreParked
    for each in sorted(moved):
        logger.warning("a topic is read again", action="topic-reread", topic=each)
    return sorted(moved)
