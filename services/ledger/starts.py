"""Asks every service since when the process that answers there runs, and in which version."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from backbone.context import Context
from services.ledger.asking import services_of
from services.ledger.changes import Change
from services.ledger.remembered import Remembered
from services.ledger.settings import Settings

_BEGAN = re.compile(r"^process_start_time_seconds (\S+)$", re.MULTILINE)
_VERSION = re.compile(r'^sliceline_build_info\{version="([^"]+)"\} ', re.MULTILINE)


async def look(context: Context[Settings]) -> list[Change]:
    """Ask all services; nothing is told of one that does not answer, or does not say when it began."""
    return list(starts(await context.client(services_of).text_of_each("/metrics")))


def last_starts(context: Context[Settings]) -> Remembered[list[Change]]:
    """Make what remembers them: `context.client(last_starts)` is a process's only one."""
    return Remembered(lambda: look(context))


def starts(metrics: Mapping[str, str | None]) -> Iterator[Change]:
    """Read from services' metrics when each began; one of an older release does not tell its version."""
    for service, text in metrics.items():
        if text is not None and (began := _began(text)):
            version = _VERSION.search(text)
            yield Change(began, service, f"started, version {version[1]}" if version else "started")


def _began(text: str) -> datetime | None:
    """Read when a process began; None where that is not said, or is no moment: NaN is a number to Prometheus."""
    found = _BEGAN.search(text)
    try:
        return datetime.fromtimestamp(float(found[1]), UTC) if found else None
    except (ValueError, OverflowError):
        return None
