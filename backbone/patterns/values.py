"""From a field's value to all those it will do for: the conditions of one field, over all conjunctions."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from backbone.patterns.conditions import (
    Absent,
    AnythingBut,
    Cidr,
    Condition,
    Equals,
    EqualsIgnoringCase,
    Exists,
    Numeric,
    Prefix,
    Scalar,
    Suffix,
    Wildcard,
    folded,
)
from backbone.patterns.lookups import Bits, Networks, Prefixes, Ranges, Wildcards
from backbone.patterns.pattern import Field

K = TypeVar("K")
Finder = Callable[[Any], Bits]


def _backwards(text: str) -> str:
    return text[::-1]


def _folded_backwards(text: str) -> str:
    return folded(text)[::-1]


class Values:
    """Gathers conditions and whose they are; `ready` makes the lookups. Then `find` answers for a value."""

    def __init__(self) -> None:
        self._texts: dict[str, Bits] = defaultdict(int)
        self._numbers: dict[Any, Bits] = defaultdict(int)
        self._others: dict[Any, Bits] = defaultdict(int)
        self._affixes: dict[Callable[[str], str] | None, dict[str, Bits]] = defaultdict(lambda: defaultdict(int))
        self._same: dict[str, Bits] = defaultdict(int)
        self._wildcards: dict[Wildcard, Bits] = defaultdict(int)
        self._networks: dict[Cidr, Bits] = defaultdict(int)
        self._ranges: list[tuple[Numeric, int]] = []
        self._of_texts: list[tuple[Callable[[str], str] | None, Finder]] = []
        self._of_numbers: Ranges | None = None

    def add(self, condition: Condition, number: int) -> None:
        """Note a condition of the conjunction with this number."""
        bit = 1 << number
        match condition:
            case Equals(value=value):
                self._equal(value)[value] |= bit
            case EqualsIgnoringCase(text=text):
                self._same[folded(text)] |= bit
            case Prefix(text=text, ignores_case=ignores):
                self._affixes[folded if ignores else None][folded(text) if ignores else text] |= bit
            case Suffix(text=text, ignores_case=ignores):
                turned = _folded_backwards if ignores else _backwards
                self._affixes[turned][turned(text)] |= bit
            case Wildcard():
                self._wildcards[condition] |= bit
            case Cidr():
                self._networks[condition] |= bit
            case Numeric():
                self._ranges.append((condition, number))

    def _equal(self, value: Scalar) -> dict[Any, Bits]:
        if isinstance(value, str):
            return self._texts
        return self._others if value is None or isinstance(value, bool) else self._numbers

    def ready(self) -> "Values":
        """Make the lookups of what was gathered."""
        for turned, owners in self._affixes.items():
            self._of_texts.append((turned, Prefixes(owners).find))
        if self._same:
            self._of_texts.append((folded, dict(self._same).get))  # type: ignore[arg-type]
        if self._wildcards:
            self._of_texts.append((None, Wildcards(self._wildcards).find))
        if self._networks:
            self._of_texts.append((None, Networks(self._networks).find))
        if self._ranges:
            self._of_numbers = Ranges(self._ranges)
        return self

    def find(self, value: Scalar) -> Bits:
        """Unite the owners of all conditions that a value meets."""
        if type(value) is str:
            bits = self._texts.get(value, 0)
            for turned, find in self._of_texts:
                bits |= find(turned(value) if turned else value) or 0
            return bits
        if value is None or type(value) is bool:
            return self._others.get(value, 0)
        bits = self._numbers.get(value, 0)
        return bits | self._of_numbers.find(value) if self._of_numbers else bits  # type: ignore[arg-type]


class FieldIndex:
    """Holds one field of all conjunctions: from the values of an event to those that they will do for."""

    def __init__(self, everybody: Bits) -> None:
        self.asking: Bits = 0
        """Who has this field."""
        self.may_be_absent: Bits = 0
        self._everybody = everybody
        self._whatever: Bits = 0
        self._positive = Values()
        self._refusing: list[tuple[Bits, Values]] = []

    def add(self, field: Field, number: int) -> None:
        """Note the field of the conjunction with this number."""
        bit, refusals = 1 << number, 0
        self.asking |= bit
        for condition in field.conditions:
            match condition:
                case Absent():
                    self.may_be_absent |= bit
                case Exists():
                    self._whatever |= bit
                case AnythingBut(refused=refused):
                    self._refuse(refusals, refused, number)
                    refusals += 1
                case _:
                    self._positive.add(condition, number)

    def _refuse(self, layer: int, refused: tuple[Condition, ...], number: int) -> None:
        """Note a refusal; a second one of the same field and conjunction would not add to the first, but undo it."""
        if layer == len(self._refusing):
            self._refusing.append((0, Values()))
        bits, values = self._refusing[layer]
        self._refusing[layer] = bits | 1 << number, values
        for each in refused:
            values.add(each, number)

    def ready(self) -> "FieldIndex":
        """Make the lookups of what was gathered."""
        self.unasking = self._everybody & ~self.asking
        self.without = self.unasking | self.may_be_absent
        self._with = self.unasking | self._whatever
        self._positive.ready()
        self._layers = [(bits, values.ready()) for bits, values in self._refusing]
        return self

    def find(self, values: tuple[Scalar, ...] | list[Scalar]) -> Bits:
        """Give those whose field one of these values will do for, and those who have no such field."""
        bits = self._with
        for value in values:
            bits |= self._positive.find(value)
            for refusing, refused in self._layers:
                bits |= refusing & ~refused.find(value)
        return bits
