"""Answers lists by page; a page ends with the cursor of the next."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request
from pydantic import JsonValue

from backbone.http.bodies import text_objection
from backbone.http.problems import invalid

T = TypeVar("T")
_LARGEST_NUMBER = 2**63 - 1
# Told, but checked by `_key_in`, which words it better than a pattern does.
_SCHEMA: dict[str, JsonValue] = {"pattern": r"^([A-Za-z0-9_-]+\.[0-9a-f]{8})?$"}


@dataclass(frozen=True)
class Page:
    """Describes the page asked for. Query `limit + 1` rows whose key comes after `after`; None is the beginning."""

    limit: int
    after: str | None
    path: str

    def answer(self, items: Sequence[T], key: Callable[[T], str]) -> dict[str, Any]:
        """Make the page's document: at most `limit` items, and the cursor to go on with, None at the end."""
        shown = items[: self.limit]
        more = len(items) > self.limit
        return self.stopped(shown, key(shown[-1]) if more else None)

    def stopped(self, items: Sequence[T], at: str | None) -> dict[str, Any]:
        """Make the document of a page that was looked for as far as a key; None is the end."""
        return {"items": list(items), "next": None if at is None else _cursor(self.path, at)}


async def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=200, description="How many items.")] = 50,
    after: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="The `next` of the page before; empty or left out: from the beginning.",
            json_schema_extra=_SCHEMA,
        ),
    ] = None,
) -> Page:
    path = str(request.scope["path"])
    return Page(limit, _key_in(after, path) if after else None, path)


Paging = Annotated[Page, Depends(_page)]


def number_of(after: str | None) -> int:
    """Read the cursor of a list that is sorted by a number; 0 at its beginning."""
    if after is None:
        return 0
    if not (after.isascii() and after.isdecimal() and int(after) <= _LARGEST_NUMBER):
        raise bad_cursor()
    return int(after)


def number_below(after: str | None) -> int:
    """Read the cursor of a list that is sorted by a number, the largest first; above them all at its beginning."""
    return _LARGEST_NUMBER if after is None else number_of(after)


def bad_cursor() -> Exception:
    """Make the problem of a cursor that the list does not understand."""
    return invalid([{"field": "after", "message": "must be the `next` of an earlier page"}])


def _cursor(path: str, key: str) -> str:
    """Make a cursor: the last key of a page, and a digest by which the list at this path knows it as its own.

    No secret: it keeps mistakes out, another list's cursor above all, not somebody who wants to begin elsewhere.
    """
    encoded = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    digest = sha256(f"{path}\n{key}".encode()).hexdigest()
    return f"{encoded}.{digest[:8]}"


def _key_in(cursor: str, path: str) -> str:
    encoded = cursor.partition(".")[0]
    try:
        key = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        raise bad_cursor() from None
    if cursor != _cursor(path, key) or text_objection(key):
        raise bad_cursor()
    return key
