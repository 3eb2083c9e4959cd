"""Places new listeners: one that acts outside begins at the newest event, and does nothing about old ones.

A mail about last week's order helps nobody. It is decided once, when the tables are made and before the service first
reads: whatever is published from then on is read, however late the service starts.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import asyncpg

from backbone.storage.statement import Statement
from deployment import NOTE
from deployment.belonging import ARE_EMPTY, Kept, skip
from deployment.published import Report


async def place(kept: Kept | None, urls: Mapping[str, str], choice: str | None, report: Report) -> None:
    """Place every service that was not placed before; `choice` is what somebody wants done about old events.

    `kept` is None where the topics never held anything.
    """
    for service, url in urls.items():
        connection = await asyncpg.connect(url, timeout=10)
        try:
            async with connection.transaction():
                await _place(connection, kept, service, choice, report)
        finally:
            await connection.close()


async def _place(connection: Any, kept: Kept | None, service: str, choice: str | None, report: Report) -> None:
    if await _IS_PLACED.fetchval(connection):
        return
    is_skipping = kept is not None and choice != "read" and await ARE_EMPTY.fetchval(connection) and _skips(service)
    if kept is not None and is_skipping:
        await skip(connection, kept, service)
        report(
            f"{NOTE}{service} is new and has jobs, which act outside or later: it begins at the newest event. "
            f"Old ones it reads after ./sliceline reread {service}"
        )
    await _PLACED.execute(connection, skipped=is_skipping)


_IS_PLACED = Statement("SELECT EXISTS (SELECT FROM beginnings)")
_PLACED = Statement("INSERT INTO beginnings (skipped) VALUES (:skipped)")


def _skips(service: str) -> bool:
    return bool(importlib.import_module(f"services.{service}.service").SERVICE.skips_old_events)
