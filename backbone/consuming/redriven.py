"""Says what became of each letter of a redrive."""

from collections.abc import Sequence

import asyncpg
import msgspec

from backbone.consuming.batch import Incoming, printable
from backbone.running.pulse import describe

WORDS = {
    "applied": "applied",
    "already-applied": "had been applied",
    "ignored": "of no interest any more",
    "failed": "failed",
    "held": "held behind one that fails",
    "put-off": "put off, for somebody holds their rows",
}
"""Says what may become of a letter, in words for people."""


class Outcome(msgspec.Struct, frozen=True):
    """Holds what became of one letter.

    It was `applied`, or had been (`already-applied`); nobody listens to it (`ignored`); it `failed`, waits behind one
    that did (`held`), or needs what somebody else holds (`put-off`).
    """

    letter: int
    topic: str
    key: str
    type: str | None
    outcome: str
    error: str | None = None


def outcome_of(row: asyncpg.Record, outcome: str, error: Exception | None = None) -> Outcome:
    """Make the outcome of one letter."""
    said = printable(describe(error)) if error else None
    return Outcome(row["id"], row["topic"], row["key"], row["type"], outcome, said)


def outcomes_of(
    rows: Sequence[asyncpg.Record], incoming: Sequence[Incoming], unseen: Sequence[Incoming]
) -> list[Outcome]:
    """Make the outcomes of letters that were handled together; `unseen` are those that had not been before."""
    handled = {id(each) for each in unseen}
    return [outcome_of(row, _word(each, id(each) in handled)) for row, each in zip(rows, incoming, strict=True)]


def _word(incoming: Incoming, is_new: bool) -> str:
    if incoming.event is None:
        return "ignored"
    return "applied" if is_new else "already-applied"
