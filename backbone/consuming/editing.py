"""Puts an edited copy in a dead letter's place, where nothing else can mend it; the original is kept beside it.

The copy has the number, the place and the occurrence of its original: it is handled when that would have been, and
once. It has to fit its contract and the reader's view.
"""

import difflib
import json
from typing import Any

from backbone.consuming import acts, letters_sql, parking, sql
from backbone.consuming.batch import Letter, read
from backbone.consuming.fingerprints import failing_paths
from backbone.consuming.handlers import Handlers, views_of
from backbone.errors import SlicelineError
from backbone.storage.database import Tx
from backbone.values import readable


class DoesNotFit(SlicelineError):
    """The data is not what an event of this type may say."""

    def __init__(self, reason: str, paths: list[tuple[str, str]]) -> None:
        super().__init__(reason)
        self.paths = paths


async def edit(
    tx: Tx, consumer: str, handlers: Handlers, letter: int, data: Any, *, actor: str, reason: str
) -> str | None:
    """Replace a dead letter's data; return the difference as a diff, or None when there is no such letter.

    Raises DoesNotFit where the new data cannot be read as this event, or the letter is no event at all.
    """
    keys = parking.keys_of(await letters_sql.KEYS_OF.fetch(tx.raw, ids=[letter]))
    await sql.PARKED_LOCK.fetch(tx.raw, consumer=consumer, wanted=keys)  # then the letter, in a redrive's order
    row = await letters_sql.LETTER_LOCK.fetchrow(tx.raw, consumer=consumer, letter=letter)
    if row is None:
        return None
    value, before = json.dumps(data, ensure_ascii=False).encode(), parking.letter_of(row)
    incoming = read(Letter(**{**vars(before), "value": value}), views_of(handlers))
    if incoming.event is None:
        error = incoming.broken or SlicelineError("Nobody here reads events of its type.")
        raise DoesNotFit(str(error), failing_paths(error))
    difference = diff_of(before.value, value)
    if not difference:
        return difference  # it says the same, so there is nothing to keep of it
    given = {"letter": letter, "value": value, "diff": difference, "actor": actor, "reason": reason}
    await letters_sql.LETTER_EDIT.fetchval(tx.raw, **given)
    await acts.note(tx, actor, "edit", letter=letter, reason=reason)
    return difference


def diff_of(before: bytes | None, after: bytes) -> str:
    """Return how two texts of JSON differ, line by line, members sorted."""
    lines = difflib.unified_diff(_lines(before or b""), _lines(after), "original", "copy", lineterm="", n=2)
    return "\n".join(lines).replace("\x00", "\\x00")


def _lines(value: bytes) -> list[str]:
    try:
        return json.dumps(readable.read(value), indent=2, sort_keys=True, ensure_ascii=False).split("\n")
    except readable.Unreadable:
        return value.decode(errors="backslashreplace").split("\n")
