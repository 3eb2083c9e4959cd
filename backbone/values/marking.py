"""Writes data as JSON, line by line, and says which lines are at paths that are wrong."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

Line = tuple[str, bool]
"""A line, and whether what is in it fails."""


def marked(payload: Any, failing: Collection[str]) -> list[Line]:
    """Write a payload as JSON, and say of each line whether it is at one of these paths."""
    return _lines(payload, "", None, failing)


def _lines(value: Any, path: str, name: str | None, failing: Collection[str], indent: int = 0) -> list[Line]:
    start = "  " * indent + (f"{json.dumps(name, ensure_ascii=False)}: " if name is not None else "")
    if not value or not isinstance(value, dict | list):
        return [(f"{start}{json.dumps(value, ensure_ascii=False)}", path in failing)]
    is_object = isinstance(value, dict)
    items = [(str(at), each) for at, each in (value.items() if isinstance(value, dict) else enumerate(value))]
    parts = [
        _lines(each, f"{path}.{at}".strip("."), at if is_object else None, failing, indent + 1) for at, each in items
    ]
    opening, closing = "{}" if is_object else "[]"
    return [(f"{start}{opening}", path in failing), *_with_commas(parts), ("  " * indent + closing, False)]


def _with_commas(parts: Sequence[list[Line]]) -> Iterator[Line]:
    """Yield the lines of an object's or a list's parts, with a comma behind each part but the last."""
    for number, lines in enumerate(parts, 1):
        yield from lines[:-1]
        text, fails = lines[-1]
        yield (text if number == len(parts) else f"{text},"), fails
