"""Reads the days and times that options are given."""

from datetime import UTC, datetime

from cli.console import fail


def moment_of(option: str, text: str) -> str:
    """Read a day or a time, in UTC unless it has a zone; end the command when it is neither."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        fail(f"{option} takes a day or a time, such as 2026-11-20 or 2026-11-20T18:00, not {text}.", code=2)
