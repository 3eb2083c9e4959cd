"""Judges all contracts at once: each against every form of it that was released, and against each of its readers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jsonschema_rs
import orjson

from backbone.errors import SlicelineError
from backbone.events import contracts
from backbone.events.compatibility import Schema
from backbone.events.envelope import is_type, parse_type
from backbone.events.fields import fields_of, is_in, line_of, parts, reads
from backbone.events.losses import losses
from deployment import released
from deployment.differences import Contract, Difference, compare, unjudged
from deployment.findings import PAGE, Finding
from deployment.released import Form

Readers = Mapping[str, Mapping[str, Schema]]
"""What is read of each event type, by the reader."""

INSTEAD = {
    "required": f"leave it optional and say why in x-optional, or publish {{next}} beside this version ({PAGE}).",
    "sample": "put the released sample back, and show another case in a file of its own; a new meaning is {next}.",
    "sunset": "put the date back that was promised, or a later one.",
    "undecided": f"say it with what can be judged, or publish {{next}} beside this version ({PAGE}).",
    "gone": "put the file back. When nobody reads it: ./sliceline contracts retire {event}",
    "retired": "publish {next}: events of the retired version are in archives.",
    "reader": "have the reader take what is promised (its events.py, then ./sliceline contracts), or publish {next}.",
    "broken": "mend the file.",
}
OTHERWISE = f"leave this version as it is, and publish {{next}} beside it ({PAGE})."


class Unreadable(SlicelineError):
    """A file holds no JSON object; the message names it."""


@dataclass(frozen=True)
class Tree:
    """Holds all contracts as they stand, all that were released, and what readers take of them."""

    released: Sequence[Form]
    current: Mapping[str, Contract]
    readers: Readers

    def forms(self, event_type: str) -> list[Form]:
        """List the forms of an event version that were released."""
        return [form for form in self.released if form.type == event_type]

    def reading(self, event_type: str, field: str = "") -> tuple[str, ...]:
        """Name those who read a field of an event version, or anything of it."""
        views = self.readers.get(event_type, {})
        return tuple(name for name, view in sorted(views.items()) if reads(fields_of(view), field))

    def next_version(self, event_type: str) -> str:
        """Name the version that would follow the newest of this event."""
        name = parse_type(event_type)
        known = (parse_type(each) for each in (*self.current, *(form.type for form in self.released)))
        newest = max((each.version for each in known if each[:2] == name[:2]), default=0)
        return f"{name.event}.v{newest + 1}"


@dataclass(frozen=True)
class Judgement:
    """Holds what was found, and how much was looked at."""

    findings: list[Finding]
    contracts: int
    forms: int
    readers: int
    values: int

    @property
    def undecided(self) -> int:
        """Count the findings that nobody could decide."""
        return sum(finding.rule == "undecided" for finding in self.findings)


def read_tree(folder: Path | None = None) -> Tree:
    """Read all contracts, and readers' as `./sliceline contracts` wrote them. Raises Unreadable, or BrokenLock."""
    root = folder or contracts.SCHEMAS
    current = {_type_of(file): _contract(file) for file in sorted(root.glob("*/*.json")) if is_type(_type_of(file))}
    readers: dict[str, dict[str, Schema]] = {}
    for file in sorted(root.glob("consumers/*/*.json")):
        if not is_type(event_type := f"sliceline.{file.stem}"):
            raise Unreadable(f"{file} is named after no event: it should be <service>.<event>.v<N>.json.")
        readers.setdefault(event_type, {})[file.parent.name] = view = _json(file)
        if broken := _broken(view):
            raise Unreadable(f"{file}: {broken}. ./sliceline contracts writes it anew.")
    return Tree(released.read(root), current, readers)


def judge(tree: Tree) -> Judgement:
    """Find everything that would break somebody."""
    findings: list[Finding] = []
    values = 0
    for event_type in sorted({*tree.current, *tree.readers, *(form.type for form in tree.released)}):
        judged = _Judging(tree, event_type)
        findings += judged.findings()
        values += judged.values
    pairs = sum(len(views) for views in tree.readers.values())
    return Judgement(findings, len(tree.current), len(tree.released), pairs, values)


class _Judging:
    """Judges one event version."""

    def __init__(self, tree: Tree, event_type: str) -> None:
        self._tree = tree
        self._type = event_type
        self._event = event_type.removeprefix("sliceline.")
        self._forms = tree.forms(event_type)
        self.values = 0

    def findings(self) -> list[Finding]:
        """Find what would break somebody."""
        contract = self._tree.current.get(self._type)
        if contract is None:
            return [*self._without_contract()]
        if broken := _broken(contract.schema):
            return [self._finding(contract, Difference("", "broken", broken))]
        changed = [*self._against_forms(contract)]
        told = {finding.field for finding in changed if finding.rule in ("removed", "type", "optional")}
        return [*changed, *(each for each in self._against_readers(contract) if not is_in(each.field, told))]

    def _without_contract(self) -> Iterator[Finding]:
        gone = Contract({})
        if self._forms and not any(form.retired for form in self._forms):
            yield self._finding(gone, Difference("", "gone", "the version is gone"))
        elif self._tree.reading(self._type):
            yield self._finding(gone, Difference("", "reader", "there is no such contract"))

    def _against_forms(self, contract: Contract) -> Iterator[Finding]:
        found: dict[tuple[str, str], Difference] = {}
        if any(form.retired for form in self._forms) and "x-retired" not in contract.schema:
            found["", "retired"] = Difference("", "retired", "this version was retired")
        if not self._forms:
            found = {(each.field, each.rule): each for each in unjudged(contract.schema)}
        for form in self._forms:
            compared = compare(form.contract, contract)
            self.values += compared.values
            for each in compared.differences:
                found.setdefault((each.field, each.rule), each)
        yield from (self._finding(contract, each) for each in found.values())

    def _against_readers(self, contract: Contract) -> Iterator[Finding]:
        for reader, view in self._tree.readers.get(self._type, {}).items():
            for lost in self._lost(view, contract):
                yield self._finding(contract, lost, reader)

    def _lost(self, view: Schema, contract: Contract) -> Iterator[Difference]:
        """Find what a reader asks for and is not promised, by the contract or by a form of it."""
        told = set()
        for schema in (contract.schema, *(form.contract.schema for form in self._forms)):
            for loss in losses(view, schema):
                if loss.at not in told:
                    yield Difference(loss.at, "reader", f"the reader {loss.does}, the schema {loss.says}")
                told.add(loss.at)
        written = fields_of(contract.schema)
        for field in fields_of(view):
            if field not in told and not reads(written, field):
                yield Difference(field, "reader", f"the reader takes {field}, which nobody writes")

    def _finding(self, contract: Contract, found: Difference, reader: str = "") -> Finding:
        readers = (reader,) if reader else self._whom(found)
        remedy = INSTEAD.get(found.rule, OTHERWISE)
        instead = remedy.format(next=self._tree.next_version(self._type), event=self._event)
        line = line_of(contract.text, self._pointer(contract, found.field))
        service, _, name = self._event.partition(".")
        file = f"schemas/consumers/{reader}/{self._event}.json" if reader else f"schemas/{service}/{name}.json"
        return Finding(self._event, found.field, found.rule, found.said, instead, file, 1 if reader else line, readers)

    def _whom(self, found: Difference) -> tuple[str, ...]:
        """Name who would break: all, where events that were released would be parked."""
        field = "" if found.rule == "required" else found.field.removesuffix("[]")
        return self._tree.reading(self._type, field)

    def _pointer(self, contract: Contract, field: str) -> tuple[str, ...]:
        """Find where a field stands, or stood; what is about no field has no place."""
        if not field:
            return ()
        schemas = [contract.schema, *(form.contract.schema for form in self._forms)]
        known = (fields_of(schema).get(field) for schema in schemas)
        return next((found.pointer for found in known if found), ())


def _broken(schema: Schema) -> str:
    """Say why a schema is none, or none that can be compared."""
    try:
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True, ignore_unknown_formats=False, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        return f"the file is no schema that can be checked: {str(error).splitlines()[0]}"
    within = [part for _, part in parts(schema)]
    if not all(isinstance(part, dict) for part in within):
        return "the file has true or false for a schema: write {} for any value"
    references = [part["$ref"] for part in within if "$ref" in part]
    definitions = schema.get("$defs", {})
    elsewhere = [each for each in references if each.removeprefix("#/$defs/") not in definitions]
    if elsewhere:
        return f"the file refers to {elsewhere[0]}: only what is in its $defs can be referred to"
    turning = [name for name in definitions if _leads_back(name, definitions)]
    return f"the definition {turning[0]} is nothing but a reference to itself" if turning else ""


def _leads_back(name: str, definitions: Schema) -> bool:
    """Tell whether a definition refers to itself before it says anything: what goes after it never comes to an end."""
    seen: set[str] = set()
    while name not in seen and "$ref" in definitions[name]:
        seen.add(name)
        name = definitions[name]["$ref"].removeprefix("#/$defs/")
    return name in seen


def _type_of(file: Path) -> str:
    return f"sliceline.{file.parent.name}.{file.stem}"


def _contract(file: Path) -> Contract:
    return Contract(_json(file), {each.stem: _json(each) for each in _samples(file)}, file.read_text())


def _json(file: Path) -> Schema:
    try:
        found = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"{file} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"{file} is no JSON object.")
    return found


def _samples(file: Path) -> list[Path]:
    folder = file.parent / "samples"
    return sorted({*folder.glob(f"{file.stem}.json"), *folder.glob(f"{file.stem}.*.json")})
