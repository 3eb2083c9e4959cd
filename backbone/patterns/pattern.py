"""A pattern, parsed: fields that all have to hold, and choices of which one alternative each has to."""

from collections.abc import Iterator, Mapping
from itertools import product

import msgspec

from backbone.errors import SlicelineError
from backbone.patterns.conditions import Absent, Condition, Scalar

Path = tuple[str, ...]
"""The names on the way to a field; arrays on the way have none."""

MOST_ALTERNATIVES = 1000
"""What the alternatives of a pattern's `$or` may multiply to."""


class BadPattern(SlicelineError):
    """What was given is no pattern. `place` says where: `data.lines[0].numeric`."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place or 'the pattern'}: {reason}")
        self.place = place
        self.reason = reason


class Field(msgspec.Struct, frozen=True):
    """A field of the event, and the conditions of which one has to be met by one of its values."""

    path: Path
    place: str
    conditions: tuple[Condition, ...]

    @property
    def may_be_absent(self) -> bool:
        """Whether the field holds where the event has no value for it."""
        return any(isinstance(each, Absent) for each in self.conditions)

    def is_met_by(self, value: Scalar) -> bool:
        """Tell whether a value meets one of the conditions."""
        return any(each.meets(value) for each in self.conditions)

    @property
    def name(self) -> str:
        """The path as one word."""
        return ".".join(self.path)


Conjunction = Mapping[Path, Field]
"""Fields that all have to hold."""


class Pattern(msgspec.Struct, frozen=True):
    """Holds what an event has to be like. `choices` are its `$or`s: of each, one alternative has to hold as well."""

    fields: tuple[Field, ...]
    choices: tuple[tuple["Pattern", ...], ...] = ()

    def alternatives(self) -> list[Conjunction]:
        """Multiply the choices out: the pattern matches when one of these conjunctions does.

        Raises BadPattern where that gives too many, or a field is named twice in one of them.
        """
        own = _together([{field.path: field} for field in self.fields])
        found: list[Conjunction] = [own]
        for choice in self.choices:
            branches = [each for branch in choice for each in branch.alternatives()]
            if len(found) * len(branches) > MOST_ALTERNATIVES:
                raise BadPattern("$or", f"its alternatives multiply to more than {MOST_ALTERNATIVES}")
            found = [_together(pair) for pair in product(found, branches)]
        return found


def _together(parts: "Iterator[Conjunction] | list[Conjunction] | tuple[Conjunction, ...]") -> Conjunction:
    whole: dict[Path, Field] = {}
    for part in parts:
        for path, field in part.items():
            if path in whole:
                raise BadPattern(field.place, f"this field is named before, at {whole[path].place}")
            whole[path] = field
    return whole
