"""Lists who publishes what and who reads it, over all services, as their `publishes` and `handlers` say."""

from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from backbone.consuming.handlers import topics_of
from backbone.events import buses, contracts
from backbone.events.buses import Bus
from backbone.events.contracts import SCHEMAS, Schema, consumer_schema, schema_of
from backbone.events.envelope import name_without_version, parse_type
from backbone.events.payload import Payload, Unread
from backbone.events.topics import DEFAULT_BUS
from backbone.service import Service
from deployment import asvs, front_door, kinds, permissions
from deployment.observability import files
from deployment.reference import REFERENCE, reference
from deployment.rights import FILE as RIGHTS
from deployment.wired import written_down

CONSUMERS = SCHEMAS / "consumers"
EVENTS = REFERENCE.with_name("events.md")

INTRODUCTION = """\
# The events

Written by `./sliceline contracts` from what the services publish and handle; a test holds it to the code. The whole
contract of an event is its schema, `schemas/<service>/<event>.v<N>.json`; what a reader uses of it stands in
`schemas/consumers/<reader>/`. A field with a `?` may be missing.
"""

TRAVELLING = """\
## How an event travels

As a Kafka record in CloudEvents' binary mode: its attributes are headers (`ce_id`, `ce_type`, …), its data is the
value, its partition key the record's key. Data of more than 64 KiB does not travel in the topic: the value is empty,
and `ce_dataref` ([CloudEvents' extension](https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/dataref.md))
names an object in the store that all services share, `service/day/length-SHA-256.json`. Readers on the backbone fetch
it, hold it to length and digest, and go on as if it had come along; [operating](operating.md#large-events) says where
the store is and how long it keeps what is in it. An event has at most 1 MiB of data.
"""

BUSES = """\
## The buses

As [buses.toml](../buses.toml) has them. An event is on the default bus, in the topic of its service, unless the service
puts it on another; `every service` may publish to its own topic only.

| bus | topics | partitions of each | kept for | may publish | may read | reads it |
| --- | --- | ---: | --- | --- | --- | --- |"""

Services = dict[str, Service[Any]]


def sample_of(event_type: str) -> dict[str, Any]:
    """Read the data of an event's golden sample."""
    service, event, version = parse_type(event_type)
    found: dict[str, Any] = orjson.loads((SCHEMAS / service / "samples" / f"{event}.v{version}.json").read_bytes())
    return found


def service_of(name: str) -> Service[Any]:
    """Load the service of this name."""
    service: Service[Any] = import_module(f"services.{name}.service").SERVICE
    return service


def views(services: Services) -> Iterator[tuple[str, type[Payload]]]:
    """Yield every type that is read: the reader's name and its own view of the event.

    Who takes all events of a topic reads no type of its own.
    """
    found = ((name, view) for name, service in services.items() for view in service.handlers)
    return ((name, view) for name, view in found if not issubclass(view, Unread))


def readers(services: Services) -> dict[str, list[str]]:
    """Return for each event type the names of the services that read it."""
    found: dict[str, list[str]] = defaultdict(list)
    for reader, view in views(services):
        found[view.TYPE].append(reader)
    return dict(found)


def flows(services: Services) -> dict[tuple[str, str], list[str]]:
    """Return for each writer and reader the names, without versions, of the events that go from one to the other."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for reader, view in views(services):
        happening = name_without_version(view.TYPE).rpartition(".")[2]
        found[parse_type(view.TYPE).service, reader].add(happening)
    return {way: sorted(names) for way, names in found.items()}


def generated(services: Services) -> dict[Path, str]:
    """Return the files that follow from the code, with their content: consumer contracts, rights, front door, pages."""
    consumers = {
        CONSUMERS / reader / f"{view.TYPE.removeprefix('sliceline.')}.json": _pretty(consumer_schema(view))
        for reader, view in views(services)
    }
    pages = {
        EVENTS: _catalogue(services),
        REFERENCE: reference(services),
        asvs.ASVS: asvs.page(),
        permissions.PERMISSIONS: permissions.page(services),
    }
    told = {RIGHTS: written_down(services), front_door.FILE: front_door.caddyfile(services)}
    watching = files.files(list(services))
    return {**consumers, **told, **watching, **{path: "\n".join(lines) for path, lines in pages.items()}}


def committed() -> set[Path]:
    """List the generated files that exist."""
    single = (EVENTS, REFERENCE, asvs.ASVS, permissions.PERMISSIONS, RIGHTS, front_door.FILE)
    return {path for path in (*single, *CONSUMERS.rglob("*.json"), *files.committed()) if path.exists()}


def _pretty(schema: Schema) -> str:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _catalogue(services: Services) -> Iterator[str]:
    yield INTRODUCTION
    yield from _picture(services)
    yield TRAVELLING
    yield from _buses(services)
    yield from kinds.page()
    listeners = readers(services)
    for name, service in services.items():
        yield f"## {name}\n"
        for event_type in sorted((each.TYPE for each in service.publishes), key=parse_type):
            yield from _event(event_type, listeners.get(event_type, []))


def _picture(services: Services) -> Iterator[str]:
    yield "```mermaid\nflowchart LR"
    for (writer, reader), names in flows(services).items():
        yield f'    {writer} -- "{"<br>".join(names)}" --> {reader}'
    yield "```\n"


def _buses(services: Services) -> Iterator[str]:
    yield BUSES
    for bus in buses.known().values():
        topics = f"`{bus.topics}`{', one for each service' if bus.name == DEFAULT_BUS else ''}"
        kept = f"{bus.retention_days} day{'' if bus.retention_days == 1 else 's'}"
        who = f"{buses.listed(bus.publish)} | {buses.listed(bus.read)} | {_in_words(_reading(bus, services))}"
        yield f"| {bus.name} | {topics} | {bus.partitions} | {kept} | {who} |"
    yield ""


def _reading(bus: Bus, services: Services) -> list[str]:
    """Name the services that do read topics of a bus."""
    topics = {bus.topics, *bus.topics_of(services)}
    return [name for name, service in services.items() if topics.intersection(topics_of(service.handlers))]


def _in_words(names: list[str]) -> str:
    return ", ".join(names) or "nobody"


def _event(event_type: str, listeners: list[str]) -> Iterator[str]:
    schema = schema_of(event_type)
    _, _, version = parse_type(event_type)
    yield f"### {event_type.split('.')[2]}.v{version}\n"
    yield f"{schema['description']}\n"
    yield f"Kind: {schema['x-kind']}.\n"
    if leaving := contracts.leaving(event_type):
        instead = leaving.use.removeprefix("sliceline.")
        when = f"**On its way out** since {leaving.since}, published until {leaving.sunset}"
        yield f"{when}: read {instead} instead. {leaving.how}\n"
    yield f"Read by {', '.join(listeners)}.\n" if listeners else "Nobody here listens to it yet.\n"
    yield from (f"    {field}" for field in _fields(schema, schema.get("$defs", {})))
    yield ""


def _fields(schema: Schema, definitions: Schema) -> Iterator[str]:
    for name, described in schema["properties"].items():
        mark = "" if name in schema.get("required", ()) else "?"
        yield f"{name}{mark}: {_kind(described, definitions)}"


def _kind(described: Schema, definitions: Schema) -> str:
    """Put a schema in its reader's words: `string or null`, `[{sku: string, quantity: integer}]`."""
    if "$ref" in described:
        return _kind(definitions[described["$ref"].removeprefix("#/$defs/")], definitions)
    if choices := described.get("anyOf", described.get("oneOf")):
        return " or ".join(_kind(each, definitions) for each in choices)
    if "const" in described:
        return f'"{described["const"]}"'
    if "enum" in described:
        return " or ".join(f'"{each}"' for each in described["enum"])
    if "items" in described:
        return f"[{_kind(described['items'], definitions)}]"
    if "properties" in described:
        return f"{{{', '.join(_fields(described, definitions))}}}"
    kinds: Any = described.get("type", "anything")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)
