"""What a target gets of an event: all of it, some fields, something fixed, or a template with the event's values in it.

Pure, as all that is decided here. A shape is JSON with one of these names:

    {"pick": ["data.order", "data.total"]}      these fields, each where it was
    {"fixed": {"say": "hello"}}                 this, whatever the event
    {"template": {"text": "Order {data.order}"}}  this, with a field's value for each {path}

In a template a text that is nothing but one {path} becomes the value as it is; where the event has none, null. Within
a text a value is written as JSON, a text as it is, and nothing where there is none. `{{` and `}}` are braces.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from backbone.errors import SlicelineError

Event = Mapping[str, Any]
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[^.{}\s]+(\.[^.{}\s]+)*")
NOTHING = object()


class BadShape(SlicelineError):
    """What was given is no shape. `place` says where: `template.text`."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place or 'the input'}: {reason}")
        self.place = place
        self.reason = reason


def check(shape: Mapping[str, Any]) -> None:
    """Object to what is no shape. Raises BadShape."""
    if len(shape) != 1 or not shape.keys() <= _CHECKS.keys():
        raise BadShape("", f"is to have one of {', '.join(_CHECKS)}")
    [(kind, given)] = shape.items()
    _CHECKS[kind](given, kind)


def shaped(shape: Mapping[str, Any] | None, event: Event) -> Any:
    """Make what a target gets of an event; without a shape, all of it."""
    if shape is None:
        return event
    [(kind, given)] = shape.items()
    if kind == "fixed":
        return given
    return _picked(given, event) if kind == "pick" else _filled(given, event)


def _check_fields(given: Any, place: str) -> None:
    if not isinstance(given, list) or not given:
        raise BadShape(place, "is to be an array of paths such as data.order")
    for number, each in enumerate(given):
        if not isinstance(each, str) or not _NAME.fullmatch(each):
            raise BadShape(f"{place}[{number}]", "is to be a path such as data.order")


def _check_template(given: Any, place: str) -> None:
    if isinstance(given, str):
        for piece in _PIECE.finditer(given):
            if piece[0] not in ("{{", "}}") and not _NAME.fullmatch(piece[1] or ""):
                raise BadShape(place, f"has {piece[0]} at {piece.start()}: a {{path}}, or {{{{ and }}}} for braces")
    for name, inner in _parts(given):
        _check_template(inner, f"{place}{name}")


def _parts(given: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(given, dict):
        yield from ((f".{name}", inner) for name, inner in given.items())
    elif isinstance(given, list):
        yield from ((f"[{number}]", inner) for number, inner in enumerate(given))


def _anything(_given: Any, _place: str) -> None:
    """Object to nothing."""


_CHECKS = {"pick": _check_fields, "fixed": _anything, "template": _check_template}


def _picked(paths: list[str], event: Event) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for path in paths:
        value = value_at(path, event)
        if value is NOTHING or any(path.startswith(f"{other}.") for other in paths):
            continue
        *way, last = path.split(".")
        inner = picked
        for name in way:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return picked


def value_at(path: str, event: Any) -> Any:
    """Return what an event has at a path, of arrays that of each element; NOTHING where there is none."""
    value = event
    for name in path.split("."):
        value = _inner(name, value)
    return value


def _inner(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return value.get(name, NOTHING)
    if isinstance(value, list):
        found = [inner for each in value if (inner := _inner(name, each)) is not NOTHING]
        return found or NOTHING
    return NOTHING


def _filled(template: Any, event: Event) -> Any:
    if isinstance(template, dict):
        return {name: _filled(inner, event) for name, inner in template.items()}
    if isinstance(template, list):
        return [_filled(inner, event) for inner in template]
    return _text(template, event) if isinstance(template, str) else template


def _text(template: str, event: Event) -> Any:
    alone = _PIECE.fullmatch(template)
    if alone and alone[1]:
        value = value_at(alone[1], event)
        return None if value is NOTHING else value
    return _PIECE.sub(lambda piece: piece[0][0] if piece[1] is None else _written(value_at(piece[1], event)), template)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is NOTHING else msgspec.json.encode(value).decode()
