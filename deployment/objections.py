"""Finds everything that is wrong with the contracts at once, and says it: one sentence for each mistake to mend."""

import re
from collections.abc import Iterator
from pathlib import Path

from backbone import declared
from backbone.events import contracts
from backbone.events.contracts import BrokenSchema, ContractBroken, owners, schema_of, schemas_of
from backbone.events.envelope import is_type, parse_type
from backbone.events.fields import Field, fields_of
from backbone.running.pulse import describe
from deployment import kinds
from deployment.catalogue import Services, flows, readers, service_of, views
from services import CATALOGUE

OWNER = r"[^@\s]+@[^@\s]+"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def load_services() -> tuple[Services, list[str]]:
    """Load every service that can be loaded; return them by name, and a sentence for each that cannot."""
    services: Services = {}
    wrong = []
    for name in CATALOGUE:
        try:
            services[name] = service_of(name)
        except Exception as error:  # whatever a module may do when it is loaded
            wrong.append(f"services/{name}/service.py cannot be loaded: {describe(error)}")
    return services, wrong


def objections(services: Services) -> list[str]:
    """Say what is wrong with what the services read and publish, with the schemas and with their samples."""
    return [
        *(said for service in services.values() for said in declared.objections(service)),
        *_about_publishing(services),
        *_about_reading(services),
        *(said for name in owners() for said in _about_schemas(name)),
    ]


def _about_publishing(services: Services) -> Iterator[str]:
    """Object to schemas and payloads that `publishes` does not list: the catalogue is written from there."""
    for name, service in services.items():
        published = {getattr(each, "TYPE", None) for each in service.publishes}
        for event_type in schemas_of(name):
            if event_type not in published and not contracts.retired(event_type):
                yield f"{name} has a schema for {event_type} and does not list it in `publishes`."


def _about_reading(services: Services) -> Iterator[str]:
    for event_type, names in readers(services).items():
        writer = parse_type(event_type).service if is_type(event_type) else None
        for name in names:
            if writer == name:
                yield f"{name} reads {event_type}, which is its own: what it knows already needs no event."


def absences(services: Services) -> list[str]:
    """Say which readers wait for a service that is not here: theirs to know, and nothing to mend."""
    return [
        f"{reader} reads {', '.join(events)}, which no service here publishes: there is no {writer}."
        for (writer, reader), events in flows(services).items()
        if writer not in services
    ]


def _about_schemas(owner: str) -> Iterator[str]:
    folder = contracts.SCHEMAS / owner
    for file in sorted(folder.glob("*.json")):
        event_type = f"sliceline.{owner}.{file.stem}"
        if not is_type(event_type):
            yield f"{_named(file)} is not named <event>.v<N>.json, so no event can be of its type."
            continue
        try:
            contracts.load(event_type)
        except BrokenSchema as error:
            yield str(error)
            continue
        yield from _about_schema(event_type, file)
        yield from _about_leaving(event_type, file)
        yield from _about_samples(event_type, folder / "samples")
    yield from _about_strays(folder / "samples")


def _about_schema(event_type: str, file: Path) -> Iterator[str]:
    schema = schema_of(event_type)
    expected = {"$schema": DIALECT, "$id": contracts.id_of(event_type), "title": event_type}
    for keyword, value in expected.items():
        if schema.get(keyword) != value:
            yield f'{_named(file)} should say "{keyword}": "{value}".'
    if not re.fullmatch(OWNER, str(schema.get("x-owner"))):
        yield f'{_named(file)} has no "x-owner", an address: who is asked before it changes?'
    if not isinstance(schema.get("description"), str):
        yield f'{_named(file)} has no "description": what has happened when this event is published?'
    yield from (f"{_named(file)} {said}" for said in kinds.objections(schema, event_type))
    if "properties" not in schema:
        yield f'{_named(file)} has no "properties": what is in the event?'
    for name, each in fields_of(schema).items():
        yield from (f"{_named(file)}: {name} {lack}" for lack in _lacks(name, each))


def _lacks(name: str, field: Field) -> Iterator[str]:
    """Say what is not written down of a field: its meaning, its unit, or why it may be missing."""
    said = field.schema
    if not name.endswith("[]") and not isinstance(said.get("description"), str):
        yield 'has no "description": what does it mean?'
    if _is_number(said) and not isinstance(said.get("x-unit"), str):
        yield 'has no "x-unit": what is it counted or measured in?'
    if contracts.SENSITIVE in said and not (_is_text(said) and isinstance(said[contracts.SENSITIVE], str)):
        yield f'may say "{contracts.SENSITIVE}" of a text alone, and with the name of the field that tells whose it is.'
    if not field.required and not isinstance(said.get("x-optional"), str):
        yield 'is not required and has no "x-optional": why may it be missing?'


def _is_number(schema: contracts.Schema) -> bool:
    said = schema.get("type", [])
    return bool({"integer", "number"} & {*([said] if isinstance(said, str) else said)})


def _is_text(schema: contracts.Schema) -> bool:
    said = schema.get("type")
    return said == "string" or (isinstance(said, list) and {*said} <= {"string", "null"})


def _about_leaving(event_type: str, file: Path) -> Iterator[str]:
    """Object to a type on its way out that sends its readers nowhere."""
    leaving = contracts.leaving(event_type)
    if leaving is None:
        return
    instead = contracts.SCHEMAS / contracts.dataschema(leaving.use).partition("/schemas/")[2]
    if leaving.use == event_type or not instead.exists() or contracts.retired(leaving.use):
        yield f"{_named(file)} says to read {leaving.use} instead, which nobody can."


def departures(services: Services) -> list[str]:
    """Say who reads a type that is on its way out: theirs to move, and nothing to mend yet."""
    return [
        f"{reader} reads {view.TYPE}, which goes on {leaving.sunset}: read {leaving.use} instead. {leaving.how}"
        for reader, view in views(services)
        if (leaving := contracts.leaving(view.TYPE))
    ]


def _about_samples(event_type: str, folder: Path) -> Iterator[str]:
    name = event_type.split(".", 2)[2]
    if not (folder / f"{name}.json").exists():
        yield f"{_named(folder / f'{name}.json')} is missing: a sample of what is published."
    for sample in _samples(folder, name):
        if wrong := _objection_to(sample, event_type):
            yield f"{_named(sample)} is no sample of {event_type}: {wrong}"
    refused = _samples(folder / "invalid", name)
    if not refused:
        yield f"{_named(folder / 'invalid' / name)}.….json is missing: a sample of what must be refused."
    for sample in refused:
        if _objection_to(sample, event_type) is None:
            yield f"{_named(sample)} should break the contract of {event_type}, and fits it."


def _objection_to(sample: Path, event_type: str) -> str | None:
    try:
        contracts.check(event_type, sample.read_bytes())
    except ContractBroken as error:
        return "; ".join(f"{path or 'data'}: {message}" for path, message in error.errors)
    return None


def _about_strays(folder: Path) -> Iterator[str]:
    """Object to samples that belong to no schema."""
    for sample in sorted((*folder.glob("*.json"), *folder.glob("invalid/*.json"))):
        event, version, *_ = sample.name.split(".")
        event_type = f"sliceline.{folder.parent.name}.{event}.{version}"
        if event_type not in schemas_of(folder.parent.name):
            yield f"{_named(sample)} is a sample of {event_type}, which no schema describes."


def _samples(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}.json")) + sorted(folder.glob(f"{name}.*.json"))


def _named(path: Path) -> str:
    return f"schemas/{path.relative_to(contracts.SCHEMAS)}"
