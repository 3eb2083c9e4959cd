"""Says why an event does not match a pattern: the fields that do not hold, what they have to be, and what they are."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from backbone.patterns.conditions import Scalar, in_words
from backbone.patterns.matching import holds, matches, way_of
from backbone.patterns.pattern import Conjunction, Field, Path, Pattern

MOST_VALUES = 5
"""Values that are shown of a field that has many."""


class Reason(msgspec.Struct, frozen=True):
    """Why a field does not hold. `place` is in the pattern, `found` what the event has there, cut where it is much."""

    place: str
    message: str
    found: tuple[Scalar, ...] = ()


def why_not(pattern: Pattern, event: Mapping[str, Any]) -> list[Reason]:
    """Say why an event does not match; nothing where it does."""
    conjunctions = pattern.alternatives()
    if any(matches(each, event) for each in conjunctions):
        return []
    if reasons := _unmet(pattern, event):
        return reasons
    alone = [each for each in conjunctions if all(_holds_alone(field, event) for field in each.values())]
    around = {path[:length] for each in alone for path in each for length in range(len(path) + 1)}
    arrays = list(dict.fromkeys(_arrays((), event, around)))
    return list(dict.fromkeys(reason for each in alone for reason in _apart(each, arrays, event)))


def _unmet(pattern: Pattern, event: Mapping[str, Any]) -> list[Reason]:
    """List the fields that do not hold even alone; of a choice all of them, when no alternative holds."""
    reasons = [_reason(field, event) for field in pattern.fields if not _holds_alone(field, event)]
    for choice in pattern.choices:
        of_each = [_unmet(alternative, event) for alternative in choice]
        if all(of_each):
            reasons += [reason for each in of_each for reason in each]
    return reasons


def _holds_alone(field: Field, event: Mapping[str, Any]) -> bool:
    return holds(way_of([field]), event)


def _reason(field: Field, event: Mapping[str, Any]) -> Reason:
    values = tuple(_shown(each) for each in islice(values_of(field.path, event), MOST_VALUES))
    wanted = in_words(field.conditions)
    if values:
        return Reason(field.place, f"{field.name} {wanted}", values)
    return Reason(field.place, f"{field.name} {wanted}, and the event has no value there")


def _shown(value: Scalar) -> Scalar:
    return f"{value[:199]}…" if isinstance(value, str) and len(value) > 200 else value


def values_of(path: Path, value: object) -> Iterator[Scalar]:
    """List all values that a part of an event has at a path, in whichever elements of arrays they lie."""
    if isinstance(value, list):
        for each in value:
            yield from values_of(path, each)
    elif isinstance(value, dict):
        if path and path[0] in value:
            yield from values_of(path[1:], value[path[0]])
    elif not path:
        yield value  # type: ignore[misc]


def _apart(conjunction: Conjunction, arrays: Iterable[Path], event: Mapping[str, Any]) -> list[Reason]:
    """Name the fields that hold each alone, but not within the same element of an array."""
    for array in arrays:
        inside = [field for path, field in conjunction.items() if path[: len(array)] == array]
        if len(inside) > 1 and not holds(way_of(inside), event):
            return [_disagreement(array, inside)]
    return []


def _arrays(path: Path, value: object, around: Collection[Path]) -> Iterator[Path]:
    """List the paths at which arrays lie `around` fields, the deepest first."""
    if path not in around:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _arrays((*path, name), inner, around)
    elif isinstance(value, list):
        for each in value:
            yield from _arrays(path, each, around)
        yield path


def _disagreement(array: Path, fields: Sequence[Field]) -> Reason:
    names = ", ".join(field.name for field in fields)
    return Reason(".".join(array), f"no one element of {'.'.join(array)} has all of {names} as they have to be")
