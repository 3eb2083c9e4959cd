"""Finds what in a changed contract would break somebody, against one form of it that was released.

Both ways, the writer taken as closed and the reader as open: events of the released form lie in topics and are checked
against the new one when they are read; readers of the released form meet events of the new one. Structure is judged by
`backbone.events.losses` and then by values that are tried; a unit, a default, a mark of sensitivity, a sunset and a
golden sample by comparing them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backbone.events.compatibility import Schema
from backbone.events.contracts import SENSITIVE
from backbone.events.fields import Field, fields_of, is_in, parts
from backbone.events.losses import Loss, losses
from deployment.trying import Tried, tried

ABOUT = {"$schema", "$id", "$comment", "title", "description", "examples", "deprecated"}
"""Keywords that tell people something. Those that begin with `x-` do so too."""
JUDGED = {
    *("$ref", "$defs", "type", "enum", "const", "default", "anyOf", "properties", "required", "items"),
    *("minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""Keywords whose change can be judged."""
MEANING = {"x-unit": "unit", "default": "default", SENSITIVE: "sensitivity"}
"""Keywords that say what a value means, and the rules that keep them: what is checked would look the same."""

Samples = dict[str, Any]
"""The data of golden samples by the names of their files, without `.json`."""


class Difference(NamedTuple):
    """Is one thing that would break somebody."""

    field: str
    rule: str
    said: str


@dataclass(frozen=True)
class Contract:
    """Is one form of an event version: as it was released, or as it stands in the tree."""

    schema: Schema
    samples: Samples = field(default_factory=dict)
    text: str = ""
    """The schema as its file has it."""


@dataclass(frozen=True)
class Compared:
    """Holds what was found between two forms of a contract, and how many values were tried."""

    differences: list[Difference]
    values: int = 0


def compare(released: Contract, new: Contract) -> Compared:
    """Hold a contract against a form of it that was released."""
    structural = _of_structure(released, new)
    old_fields, new_fields = fields_of(released.schema), fields_of(new.schema)
    found = [
        *structural.differences,
        *_of_meaning(old_fields, new_fields),
        *_of_promise(_sunset(released.schema), _sunset(new.schema)),
        *_of_samples(released.samples, new.samples),
    ]
    return Compared(_first_of_each(found), structural.values)


def unjudged(schema: Schema) -> list[Difference]:
    """Name what a schema says in words whose change cannot be judged."""
    return [
        Difference(at, "undecided", f"{what} cannot be judged{f' in {at}' if at else ''}")
        for at, part in parts(schema)
        for what in _strange(part)
    ]


def _strange(part: Schema) -> Iterator[str]:
    yield from (word for word in part if word not in JUDGED | ABOUT and not word.startswith("x-"))
    if sum(bool({"$ref", "properties", "items"} & each.keys()) for each in part.get("anyOf", ())) > 1:
        yield "a choice between several parts"


def _of_structure(released: Contract, new: Contract) -> Compared:
    if _structure(released.schema) == _structure(new.schema):
        return Compared([])
    removed = [*_removed(released.schema, new.schema)]
    if found := [*unjudged(released.schema), *unjudged(new.schema)]:
        return Compared([*found, *removed])
    back = [_backward(loss) for loss in losses(new.schema, released.schema)]
    on = [_forward(loss) for loss in losses(released.schema, new.schema)]
    tries = [
        *([] if back else [tried(new.schema, released.schema, list(released.samples.values()))]),
        *([] if on else [tried(released.schema, new.schema, list(new.samples.values()))]),
    ]
    refused = [_refused(each) for each in tries if each.is_refused]
    return Compared([*removed, *back, *on, *refused], sum(each.count for each in tries))


def _structure(schema: Any) -> Any:
    """Leave out of a schema all that only tells people something."""
    if isinstance(schema, list):
        return [_structure(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: {name: _structure(each) for name, each in value.items()}
        if keyword in ("properties", "$defs")
        else value
        if keyword in ("enum", "const", "default")
        else _structure(value)
        for keyword, value in schema.items()
        if keyword not in ABOUT and not keyword.startswith("x-")
    }


def _removed(released: Schema, new: Schema) -> Iterator[Difference]:
    kept = fields_of(new)
    for name in fields_of(released):
        if name not in kept and not name.endswith("[]"):
            yield Difference(name, "removed", f"{name} removed")


def _backward(loss: Loss) -> Difference:
    """Say what becomes of events that were released."""
    if loss.rule in ("unknown", "missing"):
        is_new = loss.rule == "unknown"
        return Difference(loss.at, "required", f"{loss.at} {'is new and' if is_new else 'became'} required")
    return Difference(loss.at, loss.rule, f"the new form {loss.does}, the released one {loss.says}")


def _forward(loss: Loss) -> Difference:
    """Say what becomes of readers that know the released form."""
    if loss.rule == "unknown":
        return Difference(loss.at, "removed", f"{loss.at} removed")
    if loss.rule == "missing":
        return Difference(loss.at, "optional", f"{loss.at} may be missing now")
    return Difference(loss.at, loss.rule, f"the released form {loss.does}, the new one {loss.says}")


def _refused(found: Tried) -> Difference:
    at = found.field or "the data"
    return Difference(found.field, "tried", f"{at} may have a value that only one of the forms takes: {found.why}")


def _of_meaning(released: dict[str, Field], new: dict[str, Field]) -> Iterator[Difference]:
    """Compare what the values of a field mean; that it is written down at last changes nothing."""
    for name in released.keys() & new.keys():
        before, after = released[name].schema, new[name].schema
        for keyword, rule in MEANING.items():
            if keyword in before and before[keyword] != after.get(keyword):
                said = f"the {rule} of {name} was {before[keyword]!r}, is {after.get(keyword)!r}"
                yield Difference(name, rule, said)


def _of_promise(before: str, after: str) -> Iterator[Difference]:
    """Compare until when the version is promised: readers have planned with it, so that it may only be put off."""
    if after and after < before:
        yield Difference("", "sunset", f"published until {after}, where {before} was promised")


def _sunset(schema: Schema) -> str:
    told = schema.get("x-deprecation")
    return str(told.get("sunset", "")) if isinstance(told, dict) else ""


def _of_samples(released: Samples, new: Samples) -> Iterator[Difference]:
    """Compare golden samples: a change of meaning shows in them, and nowhere else."""
    for name, data in released.items():
        if name not in new:
            yield Difference("", "sample", f"the golden sample {name}.json is gone")
        elif (at := _changed("", data, new[name])) is not None:
            yield Difference(at, "sample", f"{at or 'all'} of the golden sample {name}.json has changed")


def _changed(at: str, before: Any, after: Any) -> str | None:
    """Find the field in which a sample says something else; that it says more is fine."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = ((f"{at}.{name}".removeprefix("."), each, after.get(name, ...)) for name, each in before.items())
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = ((f"{at}[]", one, other) for one, other in zip(before, after, strict=True))
    else:
        return None if type(before) is type(after) and before == after else at
    return next((found for each in pairs if (found := _changed(*each)) is not None), None)


def _first_of_each(found: Iterable[Difference]) -> list[Difference]:
    """Keep one difference for each field and rule, and none in what is removed or of another type."""
    first = {(each.field, each.rule): each for each in reversed(list(found))}
    whole = {field for field, rule in first if rule in ("removed", "type")}
    kept = (each for each in first.values() if not _lies_in(each, whole))
    return sorted(kept, key=lambda each: (each.field, each.rule))


def _lies_in(difference: Difference, fields: set[str]) -> bool:
    above = fields - {difference.field} if difference.rule in ("removed", "type") else fields
    return is_in(difference.field, above)
