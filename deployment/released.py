"""Keeps every form of every contract that was ever released, with its golden samples: `schemas/released.jsonl`.

A line is one form of one event version. Lines are added and never changed, since events of each form lie in the topics
and the archive, and readers of each form run somewhere; every change is held against all of them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from backbone.errors import SlicelineError
from backbone.events import contracts
from backbone.events.envelope import parse_type
from deployment.differences import Contract

NAME = "released.jsonl"


class BrokenLock(SlicelineError):
    """A line of the lock file is not as it was written."""


@dataclass(frozen=True)
class Form:
    """Is one event version as it was at a release."""

    type: str
    number: int
    """Counts the forms of the version, from 1."""
    contract: Contract
    release: str = ""
    """The version of the system that it was released with."""
    retired: bool = False
    """Whether it has gone since, with all its readers; kept so that its name is never used again."""


def read(folder: Path | None = None) -> list[Form]:
    """Read all released forms. Raises BrokenLock."""
    file = (folder or contracts.SCHEMAS) / NAME
    lines = file.read_text().splitlines() if file.exists() else []
    forms = [_form(number, line) for number, line in enumerate(lines, start=1)]
    _count(forms)
    return forms


def write(forms: Iterable[Form], folder: Path | None = None) -> None:
    """Write the forms down, a line each, by type and number."""
    ordered = sorted(forms, key=lambda form: (parse_type(form.type), form.number))
    ((folder or contracts.SCHEMAS) / NAME).write_text("".join(f"{_line(form)}\n" for form in ordered))


def unreleased(forms: Iterable[Form], current: Mapping[str, Contract], release: str) -> list[Form]:
    """Make the forms that are to be written down: of each contract that is new, or not as its last form."""
    last = {form.type: form for form in forms}
    return [
        Form(event_type, last[event_type].number + 1 if event_type in last else 1, contract, release)
        for event_type, contract in sorted(current.items())
        if event_type not in last or not _is_same(contract, last[event_type].contract)
    ]


def _is_same(one: Contract, other: Contract) -> bool:
    return (one.schema, one.samples) == (other.schema, other.samples)


def _count(forms: Iterable[Form]) -> None:
    """Raise BrokenLock where a form is missing before a later one, or two bear one number, as after a merge."""
    last: dict[str, int] = {}
    for form in forms:
        if form.number != (due := last.get(form.type, 0) + 1):
            said = f"form {form.number} of {form.type} stands where form {due} should"
            raise BrokenLock(f"schemas/{NAME}: {said}. Put back what is missing (git log -p). {_AFTER_A_MERGE}")
        last[form.type] = form.number


_AFTER_A_MERGE = (
    "After a merge in which both sides released a form: keep theirs, take yours out, and run "
    "./sliceline contracts release."
)


def _form(number: int, line: str) -> Form:
    try:
        said = orjson.loads(line)
        seal = said.pop("seal")
        contract = Contract(said["schema"], said["samples"])
        form = Form(said["type"], said["number"], contract, said["release"], said["retired"])
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        raise BrokenLock(f"schemas/{NAME}, line {number}: it describes no released contract.{_REMEDY}") from None
    if seal != _seal(said):
        what = f"{form.type}, form {form.number}"
        raise BrokenLock(f"schemas/{NAME}, line {number}: {what} is not as it was released.{_REMEDY}")
    return form


_REMEDY = " Put the line back as it was (git log -p): released contracts do not change."


def _line(form: Form) -> str:
    said = {
        "type": form.type,
        "number": form.number,
        "release": form.release,
        "retired": form.retired,
        "schema": form.contract.schema,
        "samples": form.contract.samples,
    }
    return orjson.dumps({**said, "seal": _seal(said)}).decode()


def _seal(said: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
