"""Tries values: whatever fits what the writer may say has to fit what the reader takes, judged as events are.

Which values can be written is shown by golden samples. In each place of each sample stands, one at a time, every value
at the edge of what either schema allows: the first that is refused is a proof that no reasoning can talk away.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import jsonschema_rs

from backbone.events.compatibility import Schema, closed
from backbone.events.fields import fields_of

LONGEST = 2500
"""Texts and lists longer than this are not tried; no contract of ours allows much longer ones."""
COMMON: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 2**53 - 1, "", "x", "A1", "ABC", [], {}),
    *("2026-11-27T12:00:00Z", "2026-11-27", "a@b.example", "0193a5c0-8e00-7a3c-9d51-0242ac120002"),
)
_LENGTHS = ("minLength", "maxLength")
_COUNTS = ("minItems", "maxItems")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Tried:
    """Tells how many values were tried, and where the first one was refused, if any was."""

    count: int
    field: str = ""
    why: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether one was refused."""
        return bool(self.why)


def tried(reader: Schema, writer: Schema, samples: Sequence[Any]) -> Tried:
    """Try on the reader's schema what the writer's allows."""
    writes, takes = _validator(closed(writer)), _validator(reader)
    trial, count = _Trial(reader, writer), 0
    for path, value in chain.from_iterable(map(trial.values, samples)):
        if not writes.is_valid(value):
            continue
        count += 1
        if not takes.is_valid(value):
            return Tried(count, _field(path), next(takes.iter_errors(value)).message)
    return Tried(count)


def _validator(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, mask="what was tried", offline=True)


class _Trial:
    """Makes values out of a sample, each of which differs from it in one place."""

    def __init__(self, reader: Schema, writer: Schema) -> None:
        self._sides = fields_of(writer), fields_of(reader)

    def values(self, sample: Any) -> Iterator[tuple[Path, Any]]:
        """Yield what the writer can say of the sample, and all that can be made of it, with the place that differs."""
        sample = self._said(sample, ())
        yield (), sample
        for path, here in _places(sample, ()):
            for at, value in self._changes(path, here):
                yield at, _replaced(sample, path, value)

    def _said(self, here: Any, path: Path) -> Any:
        if isinstance(here, list):
            return [self._said(part, (*path, 0)) for part in here]
        names = self._names(path)
        if not isinstance(here, dict) or not names:
            return here
        return {name: self._said(part, (*path, name)) for name, part in here.items() if name in names}

    def _changes(self, path: Path, here: Any) -> Iterator[tuple[Path, Any]]:
        yield from ((path, value) for value in self._values(path))
        if isinstance(here, list) and here:
            yield from ((path, here[:1] * size) for size in self._sizes(path))
        if isinstance(here, dict):
            yield from (((*path, name), _without(here, name)) for name in here)
            for at in ((*path, name) for name in self._names(path) if name not in here):
                yield from ((at, {**here, at[-1]: value}) for value in self._values(at))

    def _values(self, path: Path) -> list[Any]:
        return _distinct([*COMMON, *chain.from_iterable(map(_values_of, self._schemas(path)))])

    def _sizes(self, path: Path) -> set[int]:
        return {size for each in self._schemas(path) for size in _around(each, *_COUNTS)}

    def _schemas(self, path: Path) -> list[Schema]:
        """Return what either side's schema says of the field there."""
        field = _field(path)
        return [fields[field].schema for fields in self._sides if field in fields]

    def _names(self, path: Path) -> list[str]:
        """Name the fields that the writer's schema has there."""
        above = _field(path)
        return [field.rpartition(".")[2] for field in self._sides[0] if field.rpartition(".")[0] == above]


def _places(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    yield path, value
    if isinstance(value, dict):
        yield from chain.from_iterable(_places(part, (*path, name)) for name, part in value.items())
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def _replaced(sample: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    whole = copy.copy(sample)
    whole[path[0]] = _replaced(sample[path[0]], path[1:], value)
    return whole


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def _values_of(schema: Schema) -> Iterator[Any]:
    """Yield the values at the edges of what a schema allows."""
    yield from schema.get("enum", ())
    yield from (schema[name] for name in ("const", "default") if name in schema)
    for bound in (schema[name] for name in _BOUNDS if name in schema):
        yield from (bound - 1, bound - 0.5, bound, bound + 0.5, bound + 1)
    if step := schema.get("multipleOf"):
        yield from (step, step * 2, step * 3)
    yield from ("x" * length for length in _around(schema, *_LENGTHS))


def _around(schema: Schema, *keywords: str) -> list[int]:
    sizes = [schema[keyword] for keyword in keywords if keyword in schema]
    return [each for size in sizes for each in (size - 1, size, size + 1) if 0 <= each <= LONGEST]


def _distinct(values: Sequence[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _field(path: Path) -> str:
    """Spell a place as its field: `lines[].sku`."""
    return "".join("[]" if isinstance(each, int) else f".{each}" for each in path).removeprefix(".")
