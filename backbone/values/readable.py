"""Reads JSON that anybody may have written, so that an answer can hold it, whatever it is.

A reader that takes an event as it came sees only that its data is JSON. So there may be bytes that are no text, numbers
that no type holds, and nesting that nothing written in turn may have.
"""

from typing import Any

import msgspec

from backbone.errors import SlicelineError

DEEPEST = 100
"""Levels of nesting: an answer may hold twice as many, and has some of its own."""


class Unreadable(SlicelineError):
    """It is no JSON that an answer can hold."""


def read(text: bytes) -> Any:
    """Read JSON. Raises Unreadable."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"It cannot be read: {error}") from error
    if text.count(b"[") + text.count(b"{") > DEEPEST and _is_deep(found):
        raise Unreadable(f"It is nested deeper than {DEEPEST} levels.")
    return found


def shown(text: bytes) -> Any:
    """Read JSON; what is none that an answer can hold is shown as text."""
    try:
        return read(text)
    except Unreadable:
        return text.decode(errors="backslashreplace")


def _is_deep(found: Any) -> bool:
    level = [found]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _inside(each)]
    return any(isinstance(each, dict | list) for each in level)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
