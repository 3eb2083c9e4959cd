"""Tells the database's time, which all processes of a service share, however wrong the clock of one of them is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

ASKED_EVERY = 10.0
"""Seconds after which the database is asked anew; meanwhile its time goes on as the machine's runtime does."""

# Never set by anybody, and going on while the machine sleeps: of two such clocks a system has one.
_RUNTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """Tells the time of one database, to a few milliseconds, without asking it each time."""

    def __init__(self) -> None:
        self._asked_at = 0.0
        self._began: datetime | None = None

    def now(self) -> datetime:
        """Return the database's time; this process's own until the database has answered once."""
        if self._began is None:
            return datetime.now(UTC)  # noqa: TID251  there is no other yet
        return self._began + timedelta(seconds=_runtime())

    def is_doubtful(self) -> bool:
        """Tell whether to ask the database again; whoever has a connection anyway does so."""
        return self._began is None or _runtime() - self._asked_at > ASKED_EVERY

    async def ask(self, raw: asyncpg.Connection[Any]) -> None:
        """Ask the database for its time. Whoever comes meanwhile need not ask as well."""
        self._asked_at = _runtime()
        told: datetime = await raw.fetchval("SELECT clock_timestamp()")
        self._began = told - timedelta(seconds=(self._asked_at + _runtime()) / 2)


def _runtime() -> float:
    return time.clock_gettime(_RUNTIME)
