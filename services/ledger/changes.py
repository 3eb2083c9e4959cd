"""Counts what has happened since a moment, by type, with the newest event of each."""

from datetime import datetime
from typing import Any

from backbone.storage.database import Database
from backbone.storage.statement import Statement
from backbone.values import readable
from services.ledger.kept import day_of
from services.ledger.sentences import sentence

MOST = 10_000
"""Events that are counted of a type; where there are more, one more is."""

# The types are found by leaping from one to the next in their index, and each is counted along it, up to a bound.
_CHANGES = Statement("""
    WITH RECURSIVE types AS (
      SELECT min(type) AS type FROM events WHERE day >= :day
      UNION ALL
      SELECT (SELECT min(type) FROM events WHERE type > types.type AND day >= :day) FROM types
      WHERE types.type IS NOT NULL
    )
    SELECT types.type, counted.events, newest.id, newest.source, newest.time, newest.value
    FROM types JOIN LATERAL (
      SELECT id, source, time, value FROM events
      WHERE type = types.type AND time >= :since AND day >= :day ORDER BY time DESC LIMIT 1
    ) AS newest ON true JOIN LATERAL (
      SELECT count(*) AS events FROM (
        SELECT FROM events WHERE type = types.type AND time >= :since AND day >= :day LIMIT :most
      ) AS bounded
    ) AS counted ON true
    ORDER BY newest.time DESC, types.type
""")


async def since(database: Database, moment: datetime) -> list[dict[str, Any]]:
    """Return how many events of each type there were since a moment, the type of the newest one first."""
    rows = await _CHANGES.fetch(database, since=moment, day=day_of(moment), most=MOST + 1)
    return [_change(**row) for row in rows]


def _change(
    *,
    type: str,  # noqa: A002  the column's name
    events: int,
    id: str,  # noqa: A002  the column's name
    source: str,
    time: datetime,
    value: bytes,
) -> dict[str, Any]:
    newest = {"event": id, "source": source, "at": time, "sentence": sentence(type, readable.shown(value))}
    return {"type": type, "events": min(events, MOST), "exact": events <= MOST, "newest": newest}
