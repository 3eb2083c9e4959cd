"""Tells kinds of event apart, as a schema's `x-kind` has them: how much an event says, and so what it is good for."""

import json
from collections.abc import Iterator

from backbone.events.contracts import SCHEMAS, Schema

KINDS = {
    "full": (
        "carries the state that its readers need: none has to ask the writer, who may be away. Most events here are of "
        "this kind.",
        "loyalty/points-earned.v1",
    ),
    "sparse": (
        "names what it is about, and at most who did it and why. Whoever needs more has heard it before, or asks. It "
        "says nothing that could be outdated when it is read.",
        "kitchen/pizza-baked.v1",
    ),
    "change": (
        "carries data that changed: `changed` names the fields that differ, `before` and `after` hold all as it was "
        "and is from now on. What is inserted has no before and what is deleted no after: types of their own.",
        "orders/menu-item-changed.v2",
    ),
}
"""What each kind is, and whose golden sample shows it."""

OLDER = frozenset(
    f"sliceline.{name}"
    for name in (
        "inventory.recipe-changed.v1",
        "inventory.stock-level-changed.v1",
        "orders.menu-item-changed.v1",
        "router.rule-changed.v1",
    )
)
"""Were released before there was a rule: one type for insert, change and deletion, without `changed`. Their next
versions are as the rule has it, as menu-item-changed.v2 is."""
CHANGE, INSERT, DELETION = {"changed", "before", "after"}, {"after"}, {"before"}


def objections(schema: Schema, event_type: str) -> Iterator[str]:
    """Say what is wrong with the kind that a schema gives itself; the sentence begins after the schema's name."""
    kind, properties = schema.get("x-kind"), schema.get("properties", {})
    if kind not in KINDS:
        yield f'should say "x-kind": {", ".join(KINDS)}, the first of which fits best.'
    elif kind == "sparse" and (more := [name for name, each in properties.items() if not _is_text(each)]):
        yield f"is sparse, and yet carries {', '.join(more)}."
    elif kind == "change" and event_type not in OLDER:
        yield from _about_change(schema)
    elif kind == "full" and CHANGE & properties.keys() and event_type not in OLDER:
        yield "has before or after, so it is a change."


def _about_change(schema: Schema) -> Iterator[str]:
    told = CHANGE & schema.get("properties", {}).keys()
    if told not in (CHANGE, INSERT, DELETION):
        yield "should have changed, before and after; of an insert only after, of a deletion only before."
    elif missing := sorted(told - set(schema.get("required", ()))):
        yield f"does not require {', '.join(missing)}: what may be missing is a type of its own."


def _is_text(described: Schema) -> bool:
    return described.get("type") == "string" or all(isinstance(each, str) for each in described.get("enum", (None,)))


def page() -> Iterator[str]:
    """Write what the kinds are, with an example of each, for the catalogue."""
    yield "## Kinds of event\n"
    for kind, (what, shown) in KINDS.items():
        service, _, name = shown.partition("/")
        sample = json.loads((SCHEMAS / service / "samples" / f"{name}.json").read_text())
        yield f"**{kind.capitalize()}**: {what} So {service}.{name}:\n"
        yield f"```json\n{json.dumps(sample, ensure_ascii=False)}\n```\n"
