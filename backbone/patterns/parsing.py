"""Reads a pattern: JSON as EventBridge has it. What is wrong is refused with the place in it."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

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
    Suffix,
    Wildcard,
    address_of,
    is_number,
)
from backbone.patterns.pattern import BadPattern, Field, Path, Pattern

OR = "$or"
IGNORE_CASE = "equals-ignore-case"
DEEPEST = 32
"""Names on the way to a field, choices included."""
LARGEST = 4096
"""Bytes of JSON: every event of the shop is held against it."""


def parse_given(pattern: object) -> Pattern:
    """Read a pattern that somebody gives, which is no larger than `LARGEST`. Raises BadPattern."""
    size = len(msgspec.json.encode(pattern))
    if size > LARGEST:
        raise BadPattern("", f"has {size} bytes of JSON; {LARGEST} are allowed")
    return parse(pattern)


def parse(pattern: object) -> Pattern:
    """Read a pattern. Raises BadPattern."""
    parsed = _object(pattern, (), "", 0)
    parsed.alternatives()
    return parsed


def _object(given: object, path: Path, place: str, depth: int) -> Pattern:
    """Read an object: its names are fields or lead to some; `$or` is a choice."""
    if not isinstance(given, Mapping):
        raise BadPattern(place, "is to be an object")
    if not given:
        raise BadPattern(place, "an empty object names no field")
    if depth > DEEPEST:
        raise BadPattern(place, f"is more than {DEEPEST} levels deep")
    parts = [_member(name, value, path, place, depth) for name, value in given.items()]
    fields = [field for part in parts for field in part.fields]
    choices = [choice for part in parts for choice in part.choices]
    return Pattern(tuple(fields), tuple(choices))


def _member(name: str, given: object, path: Path, place: str, depth: int) -> Pattern:
    at = f"{place}.{name}" if place else name
    if name == OR:
        return Pattern((), (_choice(given, path, at, depth),))
    way = (*path, *name.split("."))
    if isinstance(given, Mapping):
        return _object(given, way, at, depth + 1)
    if not isinstance(given, list):
        raise BadPattern(at, "is to be an array of values and conditions, or an object of fields")
    if not given:
        raise BadPattern(at, "an empty array allows no value")
    conditions = [_condition(each, f"{at}[{number}]") for number, each in enumerate(given)]
    return Pattern((Field(way, at, tuple(conditions)),))


def _choice(given: object, path: Path, place: str, depth: int) -> tuple[Pattern, ...]:
    if not isinstance(given, list) or len(given) < 2:
        raise BadPattern(place, "is to be an array of two objects or more")
    return tuple(_alternative(each, path, f"{place}[{number}]", depth) for number, each in enumerate(given))


def _alternative(given: object, path: Path, place: str, depth: int) -> Pattern:
    for name in given if isinstance(given, Mapping) else ():
        if name in _OPERATORS:
            raise BadPattern(f"{place}.{name}", "is an operator: name the field that it is about")
    return _object(given, path, place, depth + 1)


def _condition(given: object, place: str) -> Condition:
    """Read one of a field's values or conditions."""
    if isinstance(given, Mapping):
        operator, operand = _operator(given, place, _OPERATORS)
        return _OPERATORS[operator](operand, f"{place}.{operator}")
    if isinstance(given, list):
        raise BadPattern(place, "is to be a value or a condition, not an array")
    return Equals(_scalar(given, place))


def _operator(given: Mapping[str, Any], place: str, known: Mapping[str, Any]) -> tuple[str, Any]:
    if len(given) != 1:
        raise BadPattern(place, f"is to have one operator, not {len(given)}")
    [(operator, operand)] = given.items()
    if operator not in known:
        raise BadPattern(f"{place}.{operator}", f"is no operator here; there are {', '.join(known)}")
    return operator, operand


def _scalar(given: Any, place: str) -> Any:
    if isinstance(given, float) and not math.isfinite(given):
        raise BadPattern(place, "is larger than a number may be")
    return given


def _text(given: object, place: str) -> str:
    if not isinstance(given, str):
        raise BadPattern(place, "is to be a text")
    return given


def _number(given: Any, place: str) -> Any:
    if not is_number(given):
        raise BadPattern(place, "is to be a number")
    return _scalar(given, place)


def _affix(kind: type[Prefix] | type[Suffix]) -> Callable[[Any, str], Condition]:
    def read(given: Any, place: str) -> Condition:
        if isinstance(given, Mapping):
            operator, operand = _operator(given, place, (IGNORE_CASE,))  # type: ignore[arg-type]
            return kind(_text(operand, f"{place}.{operator}"), ignores_case=True)
        return kind(_text(given, place))

    return read


def _ignoring_case(given: Any, place: str) -> Condition:
    return EqualsIgnoringCase(_text(given, place))


def _exactly(given: Any, place: str) -> Condition:
    return Equals(_text(given, place))


def _exists(given: Any, place: str) -> Condition:
    if not isinstance(given, bool):
        raise BadPattern(place, "is to be true or false")
    return Exists() if given else Absent()


def _cidr(given: Any, place: str) -> Condition:
    text = _text(given, place)
    written, _, length = text.partition("/")
    address = address_of(written)
    if address is None or not re.fullmatch("[0-9]{1,3}", length) or int(length) > address[0]:
        raise BadPattern(place, "is to be a network such as 10.0.0.0/8 or 2001:db8::/32")
    return Cidr(address, address[0] - int(length), text)


def _wildcard(given: Any, place: str) -> Condition:
    text = _text(given, place)
    parts, at = [""], 0
    while at < len(text):
        if text[at] == "*":
            if text.startswith("**", at):
                raise BadPattern(place, f"has two * in a row, at {at}; one stands for any number of characters")
            parts.append("")
        elif text[at] == "\\":
            at += 1
            if text[at : at + 1] not in ("*", "\\"):
                raise BadPattern(place, f"has a \\ at {at - 1} that precedes neither * nor \\")
            parts[-1] += text[at]
        else:
            parts[-1] += text[at]
        at += 1
    return Wildcard(tuple(parts), text)


_LOW, _HIGH = (">", ">="), ("<", "<=")


def _numeric(given: Any, place: str) -> Condition:
    """Read `["=", 5]`, one bound, or a lower and an upper one in this order."""
    if not isinstance(given, list) or len(given) not in (2, 4):
        raise BadPattern(place, 'is to be a comparison such as [">", 0] or a range such as [">", 0, "<=", 5]')
    bounds = [_bound(given, place, number) for number in range(0, len(given), 2)]
    if len(bounds) == 1:
        return _compared(*bounds[0])
    (first, low), (second, high) = bounds
    if first not in _LOW or second not in _HIGH:
        raise BadPattern(
            f"{place}[{0 if first not in _LOW else 2}]", "a range has its lower bound first, then its upper"
        )
    if low >= high:
        raise BadPattern(place, "no number is in this range: the lower bound is to be below the upper")
    return Numeric(low, high, first == ">=", second == "<=")


def _bound(given: list[Any], place: str, number: int) -> tuple[str, Any]:
    operator = given[number]
    if operator not in ("=", *_LOW, *_HIGH):
        raise BadPattern(f"{place}[{number}]", "is to be one of =, <, <=, > and >=")
    return operator, _number(given[number + 1], f"{place}[{number + 1}]")


def _compared(operator: str, number: Any) -> Condition:
    if operator == "=":
        return Equals(number)
    if operator in _LOW:
        return Numeric(low=number, includes_low=operator == ">=")
    return Numeric(high=number, includes_high=operator == "<=")


def _anything_but(given: Any, place: str) -> Condition:
    """Read what is refused: texts, or numbers, or one of a few operators on texts."""
    if not isinstance(given, Mapping):
        return AnythingBut(tuple(Equals(each) for each in _alike(given, place)))
    operator, operand = _operator(given, place, _REFUSABLE)
    at = f"{place}.{operator}"
    several = operand if isinstance(operand, list) else [operand]
    if not several:
        raise BadPattern(at, "an empty array refuses nothing")
    places = [f"{at}[{number}]" for number in range(len(several))] if isinstance(operand, list) else [at]
    return AnythingBut(tuple(map(_REFUSABLE[operator], several, places)))


def _alike(given: Any, place: str) -> list[Any]:
    several = given if isinstance(given, list) else [given]
    if not several:
        raise BadPattern(place, "an empty array refuses nothing")
    for number, each in enumerate(several):
        at = f"{place}[{number}]" if isinstance(given, list) else place
        if not isinstance(each, str) and not is_number(each):
            raise BadPattern(at, "is to be a text or a number")
        if isinstance(each, str) != isinstance(several[0], str):
            raise BadPattern(at, "texts and numbers do not mix here: give two conditions")
        _scalar(each, at)
    return several


def _refused(kind: type[Prefix] | type[Suffix]) -> Callable[[Any, str], Condition]:
    def read(given: Any, place: str) -> Condition:
        if not _text(given, place):
            raise BadPattern(place, "is empty and would refuse every text")
        return kind(given)

    return read


_OPERATORS: Mapping[str, Callable[[Any, str], Condition]] = {
    "prefix": _affix(Prefix),
    "suffix": _affix(Suffix),
    IGNORE_CASE: _ignoring_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
    "exactly": _exactly,
}
_REFUSABLE: Mapping[str, Callable[[Any, str], Condition]] = {
    "prefix": _refused(Prefix),
    "suffix": _refused(Suffix),
    IGNORE_CASE: _ignoring_case,
    "wildcard": _wildcard,
}
