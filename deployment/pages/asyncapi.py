"""Describes all topics as one AsyncAPI 3.0 document, from what services publish and handle, and from schemas/."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from backbone.consuming.handlers import topic_of_view
from backbone.events import buses, contracts
from backbone.events.buses import EVERYBODY, Bus
from backbone.events.contracts import Schema, schema_of
from backbone.events.envelope import name_without_version, parse_type
from backbone.events.payload import Payload, Unread
from backbone.events.topics import DEFAULT_BUS
from backbone.service import Service
from backbone.version import VERSION
from deployment.catalogue import Services
from deployment.kinds import KINDS
from services import CATALOGUE

Document = dict[str, Any]

KAFKA = {"bindingVersion": "0.5.0"}
OWN = ("$schema", "$id", "$defs", "title", "description")
"""What a schema says of itself as a file, or of the event, which its message says here."""
TOLD = ("x-owner", "x-kind", "x-sentence", "x-deprecation")
ATTRIBUTES = {
    "ce_specversion": "Always 1.0.",
    "ce_id": "The event's id; no two of one source are equal.",
    "ce_type": "What has happened, with the version of its contract.",
    "ce_source": "The service that publishes it: /sliceline/orders.",
    "ce_subject": "What it is about; without more to say, the key.",
    "ce_time": "When it was published, in UTC.",
    "ce_dataschema": "Names the contract of the data.",
    "ce_partitionkey": "The key of the record; events of one key come in order.",
    "ce_correlationid": "One for all that a command has set off.",
    "ce_occurrenceid": "The same in each version of one happening.",
    "ce_sequence": "Counts the events of a key in a topic: 1, 2, 3 …, padded with zeros.",
    "ce_causationid": "The event that led to this one.",
    "ce_traceparent": "Where it belongs in a trace (W3C).",
    "ce_dataref": "Where data of more than 64 KiB lies, in the shop's object store; the value is empty then.",
}
OPTIONAL = {"ce_causationid", "ce_traceparent", "ce_dataref"}
MODES = ("all", "any", "each")
"""How many of the events that it names an event follows on, as `x-follows` has it (schemas/README.md)."""
EVERYTHING = "receive-all"
"""What a service does that takes all events of a topic, whatever their type."""


def document(services: Services) -> Document:
    """Describe every topic: what comes there, who sends it, who receives it."""
    types = sorted((each.TYPE for service in services.values() for each in service.publishes), key=parse_type)
    channels = {name: _channel(topic, bus, services) for name, topic, bus in _topics(services)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sliceline",
            "version": VERSION,
            "description": "What the services of a pizza chain tell each other. Written by `./sliceline contracts "
            "catalogue` from schemas/ and from what the services publish and handle.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "x-kinds": {
                kind: {"what": what, "example": example.replace("/", ".")} for kind, (what, example) in KINDS.items()
            },
            "x-services": {name: _about(service) for name, service in services.items()},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {"host": "127.0.0.1:19092", "protocol": "kafka", "description": "Kafka of `./sliceline up`."}
        },
        "channels": channels,
        "operations": {name: each for service in services.values() for name, each in _operations(service, channels)},
        "components": {
            "messages": {key_of(each): _message(each, services) for each in types},
            "messageTraits": {"cloudevent": _trait()},
        },
    }


def key_of(event_type: str) -> str:
    """Name a message in the document: `orders.order-confirmed.v1`."""
    return event_type.removeprefix("sliceline.")


def samples_of(event_type: str) -> dict[str, Any]:
    """Read the golden samples of a type by what their files' names say of them; the first is called `golden`."""
    service, event, version = parse_type(event_type)
    stem = f"{event}.v{version}"
    files = sorted((contracts.SCHEMAS / service / "samples").glob(f"{stem}*.json"), key=lambda file: len(file.name))
    return {file.stem.removeprefix(stem).strip(".") or "golden": orjson.loads(file.read_bytes()) for file in files}


def _about(service: Service[Any]) -> dict[str, Any]:
    return {"about": service.about.strip().splitlines()[0], "port": CATALOGUE.get(service.name)}


def _topics(services: Services) -> Iterator[tuple[str, str, Bus]]:
    for bus in buses.known().values():
        for topic in [bus.topics] if bus.is_many else bus.topics_of(services):
            if bus.name != DEFAULT_BUS or _said(bus, topic, services):
                yield _channel_of(topic), topic, bus


def _channel_of(topic: str) -> str:
    """Name a topic in the document, where only letters, digits and few signs are names."""
    return buses.stem(topic).replace("*", "each")


def _said(bus: Bus, topic: str, services: Services) -> list[str]:
    """List the types that come to a topic: on a bus beside the default one, all that may."""
    writers = [each for each in services.values() if bus.lets_publish(each.name) and bus.topic(each.name) == topic]
    if bus.is_many:
        writers = [each for each in services.values() if each.name in bus.publish]
    published = (each for service in writers for each in service.publishes)
    return sorted((each.TYPE for each in published if _comes_to(bus, each)), key=parse_type)


def _comes_to(bus: Bus, payload: type[Payload]) -> bool:
    """Tell whether an event may come to a bus: to the one that it names, or to one where its service may say all."""
    return bus.name == payload.BUS or (payload.BUS == DEFAULT_BUS and EVERYBODY not in bus.publish)


def _channel(topic: str, bus: Bus, services: Services) -> dict[str, Any]:
    name = buses.stem(topic)
    days = "1 day" if bus.retention_days == 1 else f"{bus.retention_days} days"
    channel: dict[str, Any] = {
        "address": topic.replace("*", "{name}"),
        "title": f"{name} on the bus {bus.name}",
        "description": f"{bus.partitions} partitions; events stay for {days}.",
        "messages": {
            key_of(each): _reference("components", "messages", key_of(each)) for each in _said(bus, topic, services)
        },
        "bindings": {
            "kafka": {
                **KAFKA,
                "topic": topic,
                "partitions": bus.partitions,
                "topicConfiguration": {"retention.ms": int(bus.retention.total_seconds() * 1000)},
            }
        },
        "x-bus": bus.name,
    }
    if "*" in topic:
        channel["parameters"] = {"name": {"description": "The partner; each has a topic."}}
        del channel["bindings"]["kafka"]["topic"]
    return channel


def _operations(service: Service[Any], channels: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for channel, described in channels.items():
        own = [key for each in service.publishes if (key := key_of(each.TYPE)) in described["messages"]]
        if own and _writes(service.name, channel, described):
            yield _operation(service.name, "send", channel, own)
    received: dict[str, list[str]] = defaultdict(list)
    for view in service.handlers:
        channel = _channel_of(topic_of_view(view))
        messages = channels.get(channel, {}).get("messages", {})  # none of a service that is not here
        if issubclass(view, Unread) and messages:
            yield _operation(service.name, EVERYTHING, channel, messages)
        elif key_of(view.TYPE) in messages:
            received[channel].append(key_of(view.TYPE))
    yield from (_operation(service.name, "receive", channel, keys) for channel, keys in received.items())


def _writes(service: str, channel: str, described: dict[str, Any]) -> bool:
    bus = described["x-bus"]
    return service == channel if bus == DEFAULT_BUS else buses.known()[bus].lets_publish(service)


def _operation(service: str, action: str, channel: str, keys: Iterable[str]) -> tuple[str, dict[str, Any]]:
    verb = {"send": "publishes to", "receive": "reads", EVERYTHING: "reads all of"}[action]
    return f"{service}.{action}.{channel}", {
        "action": "send" if action == "send" else "receive",
        "title": f"{service} {verb} {channel}",
        "channel": _reference("channels", channel),
        "messages": [_reference("channels", channel, "messages", each) for each in sorted(keys)],
        "tags": [{"name": service}],
        "x-service": service,
        "x-everything": action == EVERYTHING,
    }


def _message(event_type: str, services: Services) -> dict[str, Any]:
    schema = schema_of(event_type)
    name = parse_type(event_type)
    tags = [schema.get("x-kind"), "deprecated" if schema.get("deprecated") else None]
    return {
        "name": event_type,
        "title": f"{name.event}.v{name.version}",
        "summary": f"{schema['description'].partition('. ')[0].rstrip('.')}.",
        "description": schema["description"],
        "contentType": "application/json",
        "tags": [{"name": each} for each in tags if each],
        "traits": [_reference("components", "messageTraits", "cloudevent")],
        "payload": inlined(schema),
        "examples": [{"name": label, "payload": data} for label, data in samples_of(event_type).items()],
        "x-service": name.service,
        "x-event": name.event,
        "x-version": name.version,
        "x-dataschema": contracts.id_of(event_type),
        **{keyword: schema[keyword] for keyword in TOLD if keyword in schema},
        "x-follows": _follows(schema, services[name.service]),
    }


def _follows(schema: Schema, service: Service[Any]) -> dict[str, Any]:
    """Tell what an event follows on; where its contract says nothing of it, that may be all that is read."""
    said = schema.get("x-follows")
    if said is None:
        heard = sorted({_happening(view.TYPE) for view in service.handlers if not issubclass(view, Unread)})
        return {"mode": "each", "events": [{"event": each} for each in heard], "unsaid": True}
    mode = next(each for each in MODES if each in said)
    needs = [{"event": each} if isinstance(each, str) else each for each in said[mode]]
    return {"mode": mode, "events": needs, **{word: each for word, each in said.items() if word not in MODES}}


def _happening(event_type: str) -> str:
    return key_of(name_without_version(event_type))


def _trait() -> dict[str, Any]:
    fields = {name: {"type": "string", "description": about} for name, about in ATTRIBUTES.items()}
    return {
        "name": "cloudevent",
        "title": "CloudEvents 1.0, binary mode",
        "headers": {"type": "object", "required": sorted(fields.keys() - OPTIONAL), "properties": fields},
        "bindings": {"kafka": {**KAFKA, "key": {"type": "string", "description": "The event's partitionkey."}}},
    }


def inlined(schema: Schema) -> Schema:
    """Return a schema with what it refers to put in its place, for a document whose references begin elsewhere."""
    definitions = schema.get("$defs", {})

    def fill(part: Any) -> Any:
        if isinstance(part, list):
            return [fill(each) for each in part]
        if not isinstance(part, dict):
            return part
        filled = {keyword: fill(each) for keyword, each in part.items() if keyword != "$ref"}
        if "$ref" in part:
            return {**fill(definitions[part["$ref"].removeprefix("#/$defs/")]), **filled}
        return filled

    kept = {keyword: each for keyword, each in schema.items() if keyword not in (*OWN, *TOLD, "x-follows")}
    result: Schema = fill(kept)
    return result


def _reference(*path: str) -> dict[str, str]:
    return {"$ref": f"#/{'/'.join(path)}"}
