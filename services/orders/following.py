"""Looks up orders for those who follow them: together, by one statement for all."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from backbone.context import Context
from backbone.http.answers import to_json
from backbone.running.following import MOST, Following, Version
from services.orders import store
from services.orders.decisions import expected_for
from services.orders.settings import Settings
from services.orders.showing import document
from services.orders.store import Newer


async def find(context: Context[Any], ids: Sequence[str]) -> Sequence[Version | None]:
    """Return the orders as they stand, in the order asked for; None for one that there is not.

    It takes at most MOST.
    """
    found = {version.key: version for version in await _newer(context, dict.fromkeys(ids, 0))}
    return [found.get(each) for each in ids]


def following(context: Context[Any]) -> Following:
    """Return the one Following that all share who follow an order in this process."""
    return context.following("orders", lambda seen: _newer(context, seen))


async def _newer(context: Context[Settings], seen: Mapping[str, int]) -> Sequence[Version]:
    newer = await store.list_newer(context.database.for_queries, seen, MOST)
    documents = await _shown(newer, context)
    return [_version(each, shown) for each, shown in zip(newer, documents, strict=True)]


async def _shown(newer: Sequence[Newer], context: Context[Settings]) -> Sequence[bytes]:
    """Show each as its followers see it; what is sealed in all of them is opened at once."""
    usual = context.settings.usual
    lines = b"\n".join(to_json(document(*each.story, usual)) for each in newer)
    return (await context.sealing.opened_json(lines)).splitlines()


def _version(newer: Newer, shown: bytes) -> Version:
    order, more = newer.story.order, expected_for(newer.story.order)
    over_at = None if more is None else asyncio.get_running_loop().time() + (more - newer.since).total_seconds()
    return Version(order.id, order.version, shown, over_at)
