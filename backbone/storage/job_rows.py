"""How a transaction writes and withdraws jobs; `worker.py` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from backbone.events.payload import Cause
from backbone.storage import sql

Row = tuple[str, str, str, datetime | None, str, str | None, str | None]
"""kind, key, data, due (None: now, by the clock that claims jobs), correlationid, causationid, traceparent"""


def row(kind: str, key: str, data: Mapping[str, Any], due: datetime | None, cause: Cause) -> Row:
    """The columns of one job, in the order that JOB_SCHEDULE takes them."""
    text = orjson.dumps(data).decode()
    return kind, key, text, due, cause.correlationid, cause.causationid, cause.traceparent


async def write(
    raw: asyncpg.Connection[Any], jobs: Mapping[tuple[str, str], Row | None], now: datetime
) -> frozenset[str]:
    """Write new jobs and delete withdrawn ones, both in sorted order; returns the kinds of those that are due."""
    rows = sorted((each for each in jobs.values() if each is not None), key=lambda each: each[:2])
    withdrawn = sorted(name for name, each in jobs.items() if each is None)
    if withdrawn:
        await raw.execute(sql.JOB_WITHDRAW, *map(list, zip(*withdrawn, strict=True)))
    if rows:
        await raw.execute(sql.JOB_SCHEDULE, *map(list, zip(*rows, strict=True)))
    return frozenset(kind for kind, _, _, due, *_ in rows if due is None or due <= now)
