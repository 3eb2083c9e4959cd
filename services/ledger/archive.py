"""Reads the archive: for the ledger's own API, and for all else that is told from events as they were."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from backbone.storage.database import Database
from services.ledger import store
from services.ledger.filters import Filters, Place, place_of
from services.ledger.kept import Archived

MOST_LOOKED_AT = 20_000
"""Events that one question looks at where a filter has no index: then it says where it has stopped."""
_CHUNK = 1000
_FIRST = 4
"""How many times as many as are wanted are looked at first: whoever follows what comes asks often, and for little."""


@dataclass(frozen=True)
class Found:
    """Holds a page of events. `stopped_at` is where to go on, None at the end; `looked_at` counts all it has seen."""

    events: Sequence[Archived] = ()
    stopped_at: Place | None = None
    looked_at: int = 0


async def find(database: Database, source: str, id: str) -> Archived | None:  # noqa: A002  the attribute's name
    """Return one event; None where it is not kept."""
    return next((each for each in await store.find(database, id) if each.source == source), None)


async def with_id(database: Database, id: str) -> list[Archived]:  # noqa: A002  the attribute's name
    """Return the events of an id: one for each source that has given it."""
    return await store.find(database, id)


async def of_key(database: Database, key: str, limit: int | None = None) -> list[Archived]:
    """Return all events of a key, in whatever topic, the oldest first; the first of them, if there is a limit."""
    return await store.find_key(database, key, limit)


async def of_stories(
    database: Database, stories: Collection[str], limit: int | None = None, *, but_of: str | None = None
) -> list[Archived]:
    """Return all events that some commands have set off, by their correlation ids, as `of_key` does.

    `but_of`: without those of this key, of which they may be many and known.
    """
    return await store.find_stories(database, stories, limit, but_of)


async def newest_of_key(database: Database, key: str, until: datetime, most: int) -> list[Archived]:
    """Return the last events of a key up to a moment, the oldest of them first."""
    return await store.find_newest(database, key, until, most)


async def select(database: Database, filters: Filters, after: Place | None, limit: int) -> Found:
    """Return the events that are wanted, in the order that is wanted, at most `limit` of them.

    Where it has looked at as many as it may and has not come to the end, it says how far it came.
    """
    found: list[Archived] = []
    chunk = min(_CHUNK, _FIRST * limit) if filters.looks_inside else limit + 1
    at, looked_at = after, 0
    while looked_at < MOST_LOOKED_AT:
        seen = await store.list_page(database, filters, at, chunk)
        looked_at += len(seen)
        found += await asyncio.to_thread(filters.sift, seen)
        if len(found) > limit:
            return Found(found[:limit], place_of(found[limit - 1]), looked_at)
        if len(seen) < chunk:
            return Found(found, None, looked_at)
        at, chunk = place_of(seen[-1]), min(_CHUNK, 2 * chunk)
    return Found(found, at, looked_at)
