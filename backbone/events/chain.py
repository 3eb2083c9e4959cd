"""Holds a log of acts against itself and what events have told of it: each row vouches for all before it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backbone.errors import SlicelineError
from backbone.events.acts import BEGINNING, hash_of

FAR = 1000
"""By how many numbers a row that was moved is looked for."""


@dataclass(frozen=True)
class Head:
    """Is what an event has told of a log: the hash of one of its rows."""

    number: int
    hash: str


class Broken(SlicelineError):
    """A log is not what it was; the message says where it is so first, and how."""


class Chain:
    """Goes over the rows of a log, by their numbers, and over what events have told of it."""

    def __init__(self, heads: Iterable[Head]) -> None:
        self._told = defaultdict[int, set[str]](set)
        for head in heads:
            self._told[head.number].add(head.hash)
        self._number = 0
        self._previous = BEGINNING

    def add(self, row: Mapping[str, Any]) -> None:
        """Go over the next row. Raises Broken."""
        _check_number(row, self._number + 1)
        if row["previous"] != self._previous:
            raise Broken(
                f"Row {row['number']} follows another row {self._number} than the one there: that was replaced."
            )
        self._number, self._previous = row["number"], row["hash"]
        if self._told.get(self._number, {self._previous}) != {self._previous}:
            raise Broken(f"Row {self._number} is not the one that was published: it, or one before, was made anew.")

    def end(self) -> int:
        """Return how many rows there are, after the last one. Raises Broken."""
        if (last := max(self._told, default=0)) > self._number:
            raise Broken(f"The end is cut off: {last} rows were published, {self._number} are there.")
        return self._number


def check(found: Iterable[Mapping[str, Any]], heads: Iterable[Head]) -> int:
    """Go over the rows of a log, by their numbers, and return how many there are. Raises Broken."""
    chain = Chain(heads)
    for row in found:
        chain.add(row)
    return chain.end()


def _check_number(row: Mapping[str, Any], expected: int) -> None:
    """Hold a row against its own hash and its place."""
    number = row["number"]
    if row["hash"] != hash_of(row["previous"], number, row["entry"]):
        if (was := _number_by_hash(row)) is not None:
            raise Broken(f"Row {number} was row {was}: rows were moved, put in or taken out.")
        raise Broken(f"Row {number} was changed: its entry does not have its hash.")
    if number != expected:
        gone = f"Row {expected} is" if number == expected + 1 else f"Rows {expected} to {number - 1} are"
        raise Broken(f"{gone} missing.")


def _number_by_hash(row: Mapping[str, Any]) -> int | None:
    """Return the number with which a row has its hash; None where it has it with none near."""
    near = range(max(1, row["number"] - FAR), row["number"] + FAR)
    return next((each for each in near if row["hash"] == hash_of(row["previous"], each, row["entry"])), None)
