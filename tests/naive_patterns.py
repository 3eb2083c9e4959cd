"""Event patterns read straight off their definition: slow, without an index, and with nothing of the engine's code.

An event is the list of its values, each with its path and the array elements that it lies in. A pattern is expanded to
the combinations of its `$or`s. It matches when values can be picked, one for each field or none where absence will do,
that lie in the same elements of the arrays they share.
"""

import ipaddress
import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

Elements = dict[str, int]
"""The array elements that a value lies in: by the array's place in the event."""
Path = tuple[str, ...]
Value = tuple[Path, Any, Elements]
MISSING = object()


def naively_matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Tell whether an event matches a pattern, by trying everything."""
    values = list(_values((), "", event, {}))
    return any(_all_hold(fields, values) for fields in _expanded((), pattern))


def _values(path: Path, place: str, value: Any, elements: Elements) -> Iterator[Value]:
    """Flatten an event. An element that is a value itself lies in no element: whichever was picked, it may be taken."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values((*path, name), f"{place}/{name}", inner, elements)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            within = {**elements, place: number} if isinstance(inner, dict | list) else elements
            yield from _values(path, f"{place}/{number}", inner, within)
    else:
        yield path, value, elements


def _expanded(path: Path, pattern: dict[str, Any]) -> list[dict[Path, list[Any]]]:
    """Write out a pattern as combinations of fields, each a list of values and conditions."""
    parts = []
    for name, inner in pattern.items():
        below = (*path, *name.split("."))
        if name == "$or":
            parts.append([each for branch in inner for each in _expanded(path, branch)])
        elif isinstance(inner, dict):
            parts.append(_expanded(below, inner))
        else:
            parts.append([{below: inner}])
    return [{path: conditions for part in choice for path, conditions in part.items()} for choice in product(*parts)]


def _all_hold(fields: dict[Path, list[Any]], values: list[Value]) -> bool:
    options = []
    for path, conditions in fields.items():
        picks: list[Any] = [each for each in values if each[0] == path and any(_meets(c, each[1]) for c in conditions)]
        options.append([*picks, *([MISSING] if {"exists": False} in conditions else [])])
    return any(_agree(list(fields), picked, values) for picked in product(*options))


def _agree(paths: list[Path], picked: tuple[Any, ...], values: list[Value]) -> bool:
    chosen: Elements = {}
    for pick in picked:
        if pick is not MISSING and not _add(chosen, pick[2]):
            return False
    missing = [path for path, pick in zip(paths, picked, strict=True) if pick is MISSING]
    return not any(path in missing and _add(dict(chosen), elements) for path, _, elements in values)


def _add(chosen: Elements, elements: Elements) -> bool:
    """Choose more elements; False where another element of the same array is chosen."""
    if any(chosen.get(array, number) != number for array, number in elements.items()):
        return False
    chosen.update(elements)
    return True


def _meets(condition: Any, value: Any) -> bool:
    if not isinstance(condition, dict):
        return _kind(condition) == _kind(value) and condition == value
    [(operator, operand)] = condition.items()
    if operator == "exists":
        return bool(operand)
    if operator == "anything-but":
        return not _is_refused(operand, value)
    if operator == "numeric":
        return _kind(value) == "number" and _in_range(operand, value)
    return isinstance(value, str) and _text_meets(operator, operand, value)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "text" if isinstance(value, str) else "number"


def _is_refused(operand: Any, value: Any) -> bool:
    if isinstance(operand, dict):
        [(operator, inner)] = operand.items()
        several = inner if isinstance(inner, list) else [inner]
        return any(_meets({operator: each}, value) for each in several)
    return any(_meets(each, value) for each in (operand if isinstance(operand, list) else [operand]))


def _in_range(operand: list[Any], value: Any) -> bool:
    steps = zip(operand[::2], operand[1::2], strict=True)
    compare = {
        "=": lambda bound: value == bound,
        "<": lambda bound: value < bound,
        "<=": lambda bound: value <= bound,
        ">": lambda bound: value > bound,
        ">=": lambda bound: value >= bound,
    }
    return all(compare[operator](bound) for operator, bound in steps)


def _text_meets(operator: str, operand: Any, value: str) -> bool:
    if operator in ("prefix", "suffix"):
        if isinstance(operand, dict):
            wanted = operand["equals-ignore-case"]
            part = value[: len(wanted)] if operator == "prefix" else value[max(len(value) - len(wanted), 0) :]
            return _same_letters(part, wanted)
        return value.startswith(operand) if operator == "prefix" else value.endswith(operand)
    if operator == "equals-ignore-case":
        return _same_letters(value, operand)
    if operator == "wildcard":
        return re.fullmatch(_regex(operand), value, re.DOTALL) is not None
    if operator == "cidr":
        try:
            return ipaddress.ip_address(value) in ipaddress.ip_network(operand, strict=False)
        except ValueError:
            return False
    assert operator == "exactly"
    return bool(value == operand)


def _same_letters(first: str, second: str) -> bool:
    """Compare letter by letter: the same in lower case, or folded to the same one letter."""
    return len(first) == len(second) and all(map(_is_same_letter, first, second))


def _is_same_letter(first: str, second: str) -> bool:
    return first.lower() == second.lower() or (first.casefold() == second.casefold() and len(first.casefold()) == 1)


def _regex(wildcard: str) -> str:
    tokens = re.findall(r"\\.|\*|[^\\*]", wildcard, re.DOTALL)
    return "".join(".*" if token == "*" else re.escape(token[-1]) for token in tokens)  # noqa: S105 (of a pattern)
