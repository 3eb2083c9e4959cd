"""Looks up orders for those who follow them: together, by one statement for all."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from backbone.context import Context
from backbone.http.answers import to_json
from backbone.running.following import MOST, Following, Version
from backbone.storage.database import Database
from services.orders import store
from services.orders.decisions import expected_for
from services.orders.order import document
from services.orders.store import Story


async def find(context: Context[Any], ids: Sequence[str]) -> Sequence[Version | None]:
    """Return the orders as they stand, in the order asked for; None for one that there is not.

    It takes at most MOST.
    """
    found = {version.key: version for version in await _newer(context.database.for_queries, dict.fromkeys(ids, 0))}
    return [found.get(each) for each in ids]


def following(context: Context[Any]) -> Following:
    """Return the one Following that all share who follow an order in this process."""
    return context.following("orders", lambda seen: _newer(context.database.for_queries, seen))


async def _newer(database: Database, seen: Mapping[str, int]) -> Sequence[Version]:
    return [_version(*each) for each in await store.list_newer(database, seen, MOST)]


def _version(story: Story, since: timedelta) -> Version:
    order, more = story.order, expected_for(story.order)
    over_at = None if more is None else asyncio.get_running_loop().time() + (more - since).total_seconds()
    return Version(order.id, order.version, to_json(document(*story)), over_at)
