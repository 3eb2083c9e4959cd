"""Orders as those who follow them are shown: looked at together, a statement for all."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backbone.context import Context
from backbone.http.answers import to_json
from backbone.running.following import MOST, Following, Version
from backbone.storage.database import Database
from services.orders import tables
from services.orders.decisions import expected_for
from services.orders.order import Entry, document

# The order and its timeline are of the same moment, because one statement reads both.
_NEWER = f"""
SELECT {", ".join(f"o.{column.name}" for column in tables.orders.columns)},
       (SELECT json_agg(t ORDER BY t.position) FROM timeline AS t WHERE t.order_id = o.id) AS timeline,
       clock_timestamp() - o.stepped_at AS since
FROM unnest($1::text[], $2::int[]) AS seen(id, version)
JOIN orders AS o ON o.id = seen.id AND o.version > seen.version LIMIT {MOST}
"""  # noqa: S608  the columns are ours


async def find(context: Context[Any], ids: Sequence[str]) -> Sequence[Version | None]:
    """The orders as they stand, in the order asked for; None for one that there is not. At most MOST."""
    found = {version.key: version for version in await _newer(context.database.for_queries, dict.fromkeys(ids, 0))}
    return [found.get(each) for each in ids]


def following(context: Context[Any]) -> Following:
    """Where all meet that follow an order in this process."""
    return context.following("orders", lambda seen: _newer(context.database.for_queries, seen))


async def _newer(database: Database, seen: Mapping[str, int]) -> Sequence[Version]:
    rows = await database.fetch(_NEWER, list(seen), list(seen.values()))
    return [_version(row) for row in rows]


def _version(row: Any) -> Version:
    order = tables.order_of(row)
    shown = to_json(document(order, msgspec.convert(row["timeline"], list[Entry])))
    more = expected_for(order)
    over_at = None if more is None else asyncio.get_running_loop().time() + (more - row["since"]).total_seconds()
    return Version(order.id, order.version, shown, over_at)
