"""Handles dead letters again, key by key and in order, after whatever was wrong with them was mended (redrive)."""

from backbone.consuming import parking, sql
from backbone.consuming.batch import printable
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.handlers import Handlers
from backbone.errors import SlicelineError
from backbone.observing.logs import logger
from backbone.running.faults import is_locked_out, is_passing
from backbone.running.pulse import describe
from backbone.storage.database import Database


async def redrive(database: Database, name: str, handlers: Handlers, key: str | None = None) -> int:
    """Handle the dead letters of one key, or of all parked keys, in order; return how many were handled.

    A key whose next event fails again stays parked with the new error, one that needs what somebody else holds stays
    parked as it is; the other keys go on.
    """
    database = database.for_bulk_commands
    processor = BatchProcessor(name, handlers, database)
    pairs = await parking.parked_keys(database, name, key)
    return sum([await _redrive_key(processor, database, name, *pair) for pair in pairs])


async def go_on(database: Database, name: str, handlers: Handlers, key: str) -> None:
    """Redrive a key after its first letter is gone; after a passing fault the rest is left for a later redrive."""
    try:
        await redrive(database, name, handlers, key)
    except Exception as error:
        if not is_passing(error):
            raise
        logger.warning("a parked key is left for later", action="redrive-put-off", key=key, error=describe(error))


async def _redrive_key(processor: BatchProcessor, database: Database, consumer: str, topic: str, key: str) -> int:
    handled = 0
    try:
        while await _redrive_next(processor, topic, key):
            handled += 1
    except Exception as error:
        if is_locked_out(error):  # it stays parked, and the other keys go on
            logger.warning("a parked key is left for later", action="redrive-put-off", topic=topic, key=key)
            return handled
        if is_passing(error):
            raise
        await _blame(database, consumer, topic, key, error)
    return handled


async def _redrive_next(processor: BatchProcessor, topic: str, key: str) -> bool:
    """Handle a key's first dead letter, again on a new connection where the error may be the connection's."""
    try:
        return await processor.redrive(topic, key)
    except SlicelineError:
        raise
    except Exception as error:
        if is_passing(error):
            raise
    return await processor.redrive(topic, key, fresh=True)


async def _blame(database: Database, consumer: str, topic: str, key: str, error: Exception) -> None:
    logger.warning("a dead letter failed again", action="redrive-failed", topic=topic, key=key, error=describe(error))
    async with database.transaction() as tx:
        row = await parking.oldest(tx, consumer, topic, key)
        if row is not None:
            await sql.LETTER_BLAME.execute(tx.raw, id=row["id"], error=printable(describe(error)))
