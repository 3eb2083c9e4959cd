"""All rules against one event at once.

Each rule's pattern is a few conjunctions of fields. For each field an event has values, the values give the set of
conjunctions that they will do for (`values.py`), and what is in the sets of all fields matches. So an event costs what
its fields cost, however many rules there are. Which rules come into question at all depends mostly on a few attributes
that take few values (`source` and `type`): for each set of conjunctions that those leave, the rest is indexed by
itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from backbone.patterns.lookups import Bits, numbers_in
from backbone.patterns.matching import Way, holds, way_of
from backbone.patterns.pattern import Conjunction, Path, Pattern
from backbone.patterns.values import FieldIndex

R = TypeVar("R")
Event = Mapping[str, Any]
Found = list[Any]
"""For each field the values that an event has, or None."""
FIRST: tuple[str, ...] = ("source", "type")
"""The attributes by which rules are sorted first."""
MOST_PARTS = 1024
"""Combinations of those that are remembered."""
_NOTHING = object()


class Index(Generic[R]):
    """Holds rules with their patterns and gives those that match an event. Where rules change it is made anew."""

    def __init__(self, rules: Iterable[tuple[R, Pattern]], first: tuple[str, ...] = FIRST) -> None:
        pairs = [(rule, each) for rule, pattern in rules for each in pattern.alternatives()]
        self._rules = [rule for rule, _ in pairs]
        self._conjunctions = [conjunction for _, conjunction in pairs]
        self._first = first
        self._sorting = _fields(self._conjunctions, lambda path: len(path) == 1 and path[0] in first)
        self._parts: dict[tuple[Any, ...], _Part] = {}
        self._parts_by_bits: dict[Bits, _Part] = {}

    def match(self, event: Event) -> list[R]:
        """Give the rules whose pattern matches, each once, in their order."""
        rules = self._rules
        found = [rules[number] for number in self._part(event).match(event)]
        return found if len(found) < 2 else list(dict.fromkeys(found))

    def _part(self, event: Event) -> "_Part":
        key = tuple([event.get(name, _NOTHING) for name in self._first])
        try:
            return self._parts[key]
        except (KeyError, TypeError):  # a TypeError: no text, which cannot be
            return self._new_part(event, key)

    def _new_part(self, event: Event, key: tuple[Any, ...]) -> "_Part":
        if any(name in event and not isinstance(event[name], str) for name in self._first):
            return _Part(range(len(self._conjunctions)), self._conjunctions)
        if len(self._parts) >= MOST_PARTS:
            self._parts.clear()
            self._parts_by_bits.clear()
        bits = (1 << len(self._conjunctions)) - 1
        for (name,), field in self._sorting.items():
            bits &= field.find((event[name],)) if name in event else field.without
        part = self._parts[key] = self._parts_by_bits.get(bits) or self._part_of(bits)
        return part

    def _part_of(self, bits: Bits) -> "_Part":
        """Make the part of these conjunctions, which all combinations share that leave the same ones."""
        numbers = list(numbers_in(bits))
        part = self._parts_by_bits[bits] = _Part(numbers, [self._rest(self._conjunctions[each]) for each in numbers])
        return part

    def _rest(self, conjunction: Conjunction) -> Conjunction:
        return {path: field for path, field in conjunction.items() if path not in self._sorting}


def _fields(conjunctions: Sequence[Conjunction], wanted: Callable[[Path], bool]) -> dict[Path, FieldIndex]:
    everybody = (1 << len(conjunctions)) - 1
    found: dict[Path, FieldIndex] = {}
    for number, conjunction in enumerate(conjunctions):
        for path, field in conjunction.items():
            if wanted(path):
                found.setdefault(path, FieldIndex(everybody)).add(field, number)
    return {path: field.ready() for path, field in found.items()}


class _Step:
    """A place in events: the number of the field that ends here, the steps onward, and all fields at or behind it."""

    __slots__ = ("field", "fields", "onward")

    def __init__(self) -> None:
        self.field = -1
        self.fields: set[int] = set()
        self.onward: list[tuple[str, _Step]] = []


class _Part:
    """Holds the conjunctions that one source and type leave, with the fields that are still to be looked at."""

    def __init__(self, numbers: Sequence[int], conjunctions: Sequence[Conjunction]) -> None:
        self._numbers = numbers
        self._conjunctions = conjunctions
        self._everybody = (1 << len(conjunctions)) - 1
        fields = _fields(conjunctions, lambda _: True)
        paths = sorted(fields, key=lambda path: fields[path].unasking.bit_count())
        self._fields = [fields[path] for path in paths]
        self._root = _steps(paths)
        self._several = sum(1 << at for at, each in enumerate(conjunctions) if len(each) > 1)
        self._ways: dict[int, Way] = {}

    def match(self, event: Event) -> list[int]:
        """Give the numbers of those that match."""
        bits = self._everybody
        if self._fields and bits:
            values: Found = [None] * len(self._fields)
            within: set[int] = set()
            _gather(self._root, event, values, within)
            if within:
                bits = self._agreeing(values, within, event)
            else:
                for field, found in zip(self._fields, values, strict=True):
                    bits &= field.without if found is None else field.find(found)
                    if not bits:
                        return []
        numbers = self._numbers
        return [numbers[each] for each in numbers_in(bits)]

    def _agreeing(self, values: Found, within: set[int], event: Event) -> Bits:
        """Give those whose fields are met within the same elements of arrays, and absent at least there."""
        bits, asking = self._everybody, 0
        for number, (field, found) in enumerate(zip(self._fields, values, strict=True)):
            possible = field.without if found is None else field.find(found)
            if number in within:
                possible |= field.may_be_absent & self._several
                asking |= field.asking
            bits &= possible
        for number in numbers_in(bits & asking & self._several):
            if not holds(self._way(number), event):
                bits ^= 1 << number
        return bits

    def _way(self, number: int) -> Way:
        if number not in self._ways:
            self._ways[number] = way_of(self._conjunctions[number].values())
        return self._ways[number]


def _steps(paths: Iterable[Path]) -> _Step:
    root = _Step()
    for number, path in enumerate(paths):
        step = root
        for name in path:
            known = dict(step.onward)
            if name not in known:
                known[name] = _Step()
                step.onward.append((name, known[name]))
            step = known[name]
            step.fields.add(number)
        step.field = number
    return root


def _gather(step: _Step, value: Mapping[str, Any], values: Found, within: set[int]) -> None:
    """Put the values of an object's fields where their numbers say, and the numbers of what lies in arrays `within`."""
    for name, onward in step.onward:
        inner = value.get(name, _NOTHING)
        if inner is not _NOTHING:
            kind = type(inner)
            if kind is dict:
                _gather(onward, inner, values, within)
            elif kind is list:
                _gather_array(onward, inner, values, within)
            elif onward.field >= 0:
                values[onward.field] = (inner,)


def _gather_array(step: _Step, array: list[Any], values: Found, within: set[int]) -> None:
    if any(isinstance(each, dict | list) for each in array):
        within |= step.fields
        _gather_deep(step, array, values)
    elif array and step.field >= 0:
        values[step.field] = array


def _gather_deep(step: _Step, value: Any, values: Found) -> None:
    """Add the values of all elements, however deep they lie."""
    if isinstance(value, list):
        for each in value:
            _gather_deep(step, each, values)
    elif isinstance(value, dict):
        for name, onward in step.onward:
            if name in value:
                _gather_deep(onward, value[name], values)
    elif step.field >= 0:
        found = values[step.field]
        if found is None:
            found = values[step.field] = []
        found.append(value)
