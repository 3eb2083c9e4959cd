"""Reads the planted changes (`bench/planted.json`) to one contract: they break somebody or nobody, or are undecidable.

What is changed is said as a JSON merge patch (RFC 7396): what stands there replaces, and null takes away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from backbone.events.compatibility import Schema
from deployment.differences import Contract
from deployment.gate import Tree
from deployment.released import Form

FILE = Path(__file__).with_name("planted.json")


@dataclass(frozen=True)
class Planted:
    """Is one change to the contract, and what has to be said of it."""

    name: str
    kind: str
    """One of `breaking`, `undecided` and `safe`."""
    said: dict[str, Any]
    tree: Tree

    @property
    def schemas(self) -> tuple[list[Schema], Schema] | None:
        """The forms that were released, and the new one; None where the change is not one of a schema alone."""
        if self.said.keys() & {"next", "gone", "retired", "reading", "samples"} or "schema" not in self.said:
            return None
        [new] = self.tree.current.values()
        return [form.contract.schema for form in self.tree.released], new.schema


def planted() -> list[Planted]:
    """Read all changes."""
    told = orjson.loads(FILE.read_bytes())
    return [
        Planted(said["name"], kind, said, _tree(told, said))
        for kind in ("breaking", "undecided", "safe")
        for said in told[kind]
    ]


def _tree(told: dict[str, Any], said: dict[str, Any]) -> Tree:
    event = told["event"]
    before = Contract(told["schema"], told["samples"])
    after = Contract(patched(told["schema"], said.get("schema", {})), patched(told["samples"], said.get("samples", {})))
    readers = patched(told["readers"], said.get("reading", {}))
    return Tree(list(_forms(told, said)), dict(_current(event, before, after, said)), {event: readers})


def _forms(told: dict[str, Any], said: dict[str, Any]) -> Iterator[Form]:
    for number, patch in enumerate(said.get("forms", [{}]), start=1):
        contract = Contract(patched(told["schema"], patch), told["samples"])
        yield Form(told["event"], number, contract, retired=said.get("retired", False))


def _current(event: str, before: Contract, after: Contract, said: dict[str, Any]) -> Iterator[tuple[str, Contract]]:
    if said.get("next"):
        yield event, before
        yield event.replace(".v1", ".v2"), after
    elif not said.get("gone"):
        yield event, after


def patched(target: Any, patch: Any) -> Any:
    """Apply a merge patch."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = patched(kept.get(name), value)
    return kept
