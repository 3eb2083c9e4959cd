"""Writes and withdraws jobs in a transaction; `worker.py` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import orjson

from backbone.events.payload import Cause
from backbone.storage import sql


class Row(msgspec.Struct):
    """Holds what a transaction puts into a row of the table `jobs`."""

    kind: str
    key: str
    data: str
    due: datetime | None
    """None: now, by the clock that claims jobs."""
    correlationid: str
    causationid: str | None
    traceparent: str | None


def row(kind: str, key: str, data: Mapping[str, Any], due: datetime | None, cause: Cause) -> Row:
    """Make the row of one job."""
    return Row(
        kind=kind,
        key=key,
        data=orjson.dumps(data).decode(),
        due=due,
        correlationid=cause.correlationid,
        causationid=cause.causationid,
        traceparent=cause.traceparent,
    )


async def write(
    raw: asyncpg.Connection[Any], jobs: Mapping[tuple[str, str], Row | None], soon: datetime
) -> frozenset[str]:
    """Write new jobs and delete withdrawn ones, both in sorted order; return the kinds of those that are due `soon`."""
    rows = sorted((each for each in jobs.values() if each is not None), key=lambda each: (each.kind, each.key))
    withdrawn = sorted(name for name, each in jobs.items() if each is None)
    if withdrawn:
        await sql.JOB_WITHDRAW.execute(raw, job=withdrawn)
    if rows:
        await sql.JOB_SCHEDULE.execute(raw, job=rows)
    return frozenset(each.kind for each in rows if each.due is None or each.due <= soon)
