"""Lists come in pages; a page ends with the cursor of the next."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from backbone.http.bodies import text_objection
from backbone.http.problems import invalid

T = TypeVar("T")
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True)
class Page:
    """A page as it was asked for. Query `limit + 1` rows whose key comes after `after`."""

    limit: int
    after: str | None

    def answer(self, items: Sequence[T], key: Callable[[T], str]) -> dict[str, Any]:
        """The page's document: at most `limit` items, and the cursor to go on with, None at the end."""
        shown = items[: self.limit]
        return {"items": list(shown), "next": _cursor(key(shown[-1])) if len(items) > self.limit else None}


async def _page(
    limit: Annotated[int, Query(ge=1, le=200, description="How many items.")] = 50,
    after: Annotated[str | None, Query(max_length=1000, description="The `next` of the page before.")] = None,
) -> Page:
    return Page(limit, None if after is None else _key(after))


Paging = Annotated[Page, Depends(_page)]


def number_of(after: str | None) -> int:
    """The cursor of a list that is sorted by a number; 0 at its beginning."""
    if after is None:
        return 0
    if not (after.isascii() and after.isdecimal() and int(after) <= _LARGEST_NUMBER):
        raise bad_cursor()
    return int(after)


def bad_cursor() -> Exception:
    """What to raise when a cursor says nothing that the list understands."""
    return invalid([{"field": "after", "message": "must be the `next` of an earlier page"}])


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _key(cursor: str) -> str:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise bad_cursor() from None
    if not key or text_objection(key):
        raise bad_cursor()
    return key
