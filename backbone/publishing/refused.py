"""Sets aside, with its key, an event that Kafka refuses for itself; all else goes on.

Later events of the key wait behind it, at the positions that they had in the outbox, so that the order of the key holds
whenever they come back. Whoever moves rows here or back holds the relay's lock: no relay carries the key meanwhile.
"""

from dataclasses import dataclass

from backbone.observing import metrics
from backbone.observing.logs import logger
from backbone.storage.database import Database, Tx
from backbone.storage.statement import Statement
from backbone.storage.tables import outbox

LOCK = Statement("SELECT pg_advisory_xact_lock(hashtext('sliceline.relay'))")

SET_ASIDE = Statement(
    """
WITH refused AS (DELETE FROM outbox WHERE id = :id RETURNING :outbox.*)
INSERT INTO refused_events (:outbox.columns, error) SELECT :outbox.columns, :error FROM refused
RETURNING aggregateid AS key, type
""",
    outbox=outbox,
)

BRING_BACK = Statement(
    """
WITH back AS (DELETE FROM refused_events WHERE :key::text IS NULL OR aggregateid = :key RETURNING :outbox.columns)
INSERT INTO outbox (:outbox.columns) OVERRIDING SYSTEM VALUE SELECT :outbox.columns FROM back ORDER BY position
RETURNING position
""",
    outbox=outbox,
)

DISCARD = Statement("""
DELETE FROM refused_events WHERE id = :id AND error IS NOT NULL RETURNING aggregateid AS key, type
""")


async def set_aside(database: Database, id: str, error: str) -> None:  # noqa: A002  the attribute's name
    """Move an event from the outbox to the refused ones, and close its key."""
    async with database.transaction() as tx:
        await LOCK.execute(tx.raw)
        row = await SET_ASIDE.fetchrow(tx.raw, id=id, error=error)
    if row is not None:
        metrics.REFUSED.inc()
        logger.error(
            "Kafka refuses an event, which is set aside with its key",
            action="event-refused",
            event_id=id,
            event_type=row["type"],
            key=row["key"],
            error=error,
        )


async def retry(database: Database, key: str | None) -> int:
    """Move the refused events of a key, or all, back into the outbox; return how many."""
    async with database.transaction() as tx:
        await LOCK.execute(tx.raw)
        count = await _bring_back(tx, key)
    database.wakeups.committed(count > 0, frozenset())
    return count


@dataclass(frozen=True)
class Discarded:
    """Describes a refused event that is gone; `released` is how many waited behind it."""

    id: str
    type: str
    key: str
    released: int


async def discard(tx: Tx, id: str) -> Discarded | None:  # noqa: A002
    """Forget a refused event for good and open its key. None: there is no such.

    Readers of the key then miss one `sequence`.
    """
    await LOCK.execute(tx.raw)
    row = await DISCARD.fetchrow(tx.raw, id=id)
    if row is None:
        return None
    return Discarded(id, row["type"], row["key"], await _bring_back(tx, row["key"]))


def tell(database: Database, gone: Discarded, *, actor: str, reason: str) -> None:
    """Log that a refused event was discarded, and let the relay know, once that is committed."""
    logger.warning(
        "a refused event was discarded",
        action="refused-event-discarded",
        event_id=gone.id,
        event_type=gone.type,
        key=gone.key,
        actor=actor,
        reason=reason,
    )
    database.wakeups.committed(gone.released > 0, frozenset())


async def _bring_back(tx: Tx, key: str | None) -> int:
    return len(await BRING_BACK.fetch(tx.raw, key=key))
