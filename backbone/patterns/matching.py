"""Holds one conjunction of fields against one event, arrays included.

An array stands for one of its elements: the fields within the same array have to be met within the same element.
Values that lie in an array directly are free: of `["a", "b"]` any may do. A field that has to be absent has to be so in
the elements that the other fields are met in; where no field is met in an array, in all of its elements.
"""

from collections.abc import Iterable
from typing import Any

from backbone.patterns.conditions import Absent
from backbone.patterns.pattern import Conjunction, Field

_FAILS, _ABSENT, _MET = 0, 1, 2
"""How fields can hold in a part of an event: not at all, all by being absent, or with a value of that part; or both."""


class Way:
    """The fields of a conjunction as a tree of names. `field` is what ends here, `onward` what goes on."""

    __slots__ = ("field", "onward")

    def __init__(self, field: Field | None = None) -> None:
        self.field = field
        self.onward: dict[str, Way] = {}


def way_of(fields: Iterable[Field]) -> Way:
    """Make the tree of these fields."""
    root = Way()
    for field in fields:
        step = root
        for name in field.path:
            step = step.onward.setdefault(name, Way())
        step.field = field
    return root


def matches(conjunction: Conjunction, event: object) -> bool:
    """Tell whether all fields of a conjunction hold for an event."""
    return holds(way_of(conjunction.values()), event)


def holds(way: Way, event: object) -> bool:
    """Tell whether all fields of a tree hold for an event."""
    return _weigh(way.field, way, event) != _FAILS


def _weigh(field: Field | None, way: Way, value: Any) -> int:
    """Say how `field` (what ends here) and what goes on from here hold in a part of an event."""
    if isinstance(value, list):
        return _in_array(field, way, value)
    if isinstance(value, dict):
        own = _missing(field, None)
        for name, onward in way.onward.items():
            if own == _FAILS:
                return _FAILS
            inner = value.get(name, _NOTHING)
            theirs = _missing(onward.field, onward) if inner is _NOTHING else _weigh(onward.field, onward, inner)
            own = _both(own, theirs)
        return own
    mine = _ABSENT if field is None else _MET if field.is_met_by(value) else _FAILS
    return _both(mine, _missing(None, way))


_NOTHING = object()


def _in_array(field: Field | None, way: Way, array: list[Any]) -> int:
    parts = [each for each in array if isinstance(each, dict | list)]
    direct = [each for each in array if not isinstance(each, dict | list)]
    if field is not None and any(field.is_met_by(each) for each in direct):
        return _MET if _in_elements(None, way, parts) else _FAILS
    return _in_elements(_present(field) if field is not None and direct else field, way, parts)


def _in_elements(field: Field | None, way: Way, elements: list[Any]) -> int:
    if not elements:
        return _missing(field, way)
    inner = [_weigh(field, way, each) for each in elements]
    met = _MET if any(each & _MET for each in inner) else _FAILS
    return met | (_ABSENT if all(each & _ABSENT for each in inner) else _FAILS)


def _both(first: int, second: int) -> int:
    if not first or not second:
        return _FAILS
    return (first & second & _ABSENT) | ((first | second) & _MET)


def _missing(field: Field | None, way: Way | None) -> int:
    """Say how fields hold where nothing is."""
    if field is not None and not field.may_be_absent:
        return _FAILS
    if way is not None and any(not _missing(each.field, each) for each in way.onward.values()):
        return _FAILS
    return _ABSENT


def _present(field: Field) -> Field:
    """Take from a field the ways to hold by being absent: a value of it lies where no choice avoids it."""
    return Field(field.path, field.place, tuple(each for each in field.conditions if not isinstance(each, Absent)))
