"""Writes the catalogue as EventCatalog's folders have it: services with their events, channels, and owners as teams."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deployment.pages.asyncapi import Document
from deployment.pages.contents import Contents, Event

_SPECIAL = re.compile(r"([{}<>])")
"""What would begin code or an element in MDX."""


def files(document: Document, schemas: Mapping[str, str]) -> dict[str, str]:
    """Return the files by their names. `schemas` are those of events, as `schemas/orders/order-placed.v1.json`."""
    contents = Contents(document)
    found = dict(_teams(contents))
    for channel in contents.channels.values():
        found[f"channels/{_id(channel)}/index.mdx"] = _channel(contents, channel)
    for name in contents.services:
        found[f"services/{name}/index.mdx"] = _service(contents, name)
    for event in contents.events.values():
        folder = _folder(contents, event)
        found[f"{folder}/index.mdx"] = _event(event)
        found[f"{folder}/schema.json"] = schemas[f"schemas/{event.happening.replace('.', '/')}.v{event.version}.json"]
    return found


def _folder(contents: Contents, event: Event) -> str:
    """Name an event's folder: older versions lie within that of the newest."""
    message = event.message
    folder = f"services/{message['x-service']}/events/{message['x-event']}"
    newest = contents.versions(event.happening)[0]
    return folder if newest is event else f"{folder}/versioned/{_version(event)}"


def _version(event: Event) -> str:
    return f"{event.version}.0.0"


def _id(channel: Mapping[str, Any]) -> str:
    return str(channel["address"])


def _teams(contents: Contents) -> Iterator[tuple[str, str]]:
    for owner in sorted({each.message["x-owner"] for each in contents.events.values()}):
        team = owner.partition("@")[0]
        said = f"Answers questions about what it owns: {owner}."
        yield f"teams/{team}.mdx", _page({"id": team, "name": team, "email": owner, "summary": said}, said)


def _owners(events: Iterable[Event]) -> list[str]:
    """Name the teams that own events."""
    return sorted({each.message["x-owner"].partition("@")[0] for each in events})


def _channel(contents: Contents, channel: Mapping[str, Any]) -> str:
    said = {
        "id": _id(channel),
        "name": channel["title"],
        "version": contents.document["info"]["version"],
        "summary": channel["description"],
        "owners": _owners(contents.events[each] for each in channel["messages"]),
        "address": channel["address"],
        "protocols": ["kafka"],
        "parameters": channel.get("parameters"),
    }
    return _page(said, _prose(channel["description"]), "<ChannelInformation />")


def _service(contents: Contents, name: str) -> str:
    document = contents.document
    told: dict[str, list[dict[str, Any]]] = {"sends": [], "receives": []}
    for operation in document["operations"].values():
        if operation["x-service"] == name and not operation["x-everything"]:
            channel = _id(contents.channels[operation["channel"]["$ref"].rpartition("/")[2]])
            what, way = ("sends", "to") if operation["action"] == "send" else ("receives", "from")
            for reference in operation["messages"]:
                event = contents.events[reference["$ref"].rpartition("/")[2]]
                told[what].append({"id": event.happening, "version": _version(event), way: [{"id": channel}]})
    heard = ", ".join(_id(contents.channels[each]) for each in contents.hearing.get(name, ()))
    body = [_prose(f"It also takes everything that comes in {heard}.")] if heard else []
    about = {"summary": contents.services[name]["about"], "owners": _owners(contents.of(name)), **told}
    return _page({"id": name, "name": name, "version": document["info"]["version"], **about}, *body, "<NodeGraph />")


def _event(event: Event) -> str:
    message, leaving = event.message, event.leaving
    said = {
        "id": event.happening,
        "name": message["x-event"],
        "version": _version(event),
        "summary": message["summary"],
        "owners": _owners([event]),
        "schemaPath": "schema.json",
        "badges": [
            {"content": each["name"], "backgroundColor": "blue", "textColor": "blue"} for each in message["tags"]
        ],
        "deprecated": leaving
        and {"date": leaving["sunset"], "message": f"Read {leaving['use']} instead. {leaving['how']}"},
    }
    example = json.dumps(message["examples"][0]["payload"], indent=2, ensure_ascii=False)
    return _page(
        said,
        _prose(message["description"]),
        "<NodeGraph />",
        '<SchemaViewer file="schema.json" />',
        f'```json title="Example"\n{example}\n```',
    )


def _prose(text: str) -> str:
    """Write text of which nothing is code or an element."""
    return _SPECIAL.sub(r"\\\1", text)


def _page(said: Mapping[str, Any], *body: str) -> str:
    """Write a file: a value of its head is JSON, which is YAML as well; what is None is left out."""
    head = "".join(
        f"{name}: {json.dumps(each, ensure_ascii=False)}\n" for name, each in said.items() if each is not None
    )
    return "\n\n".join([f"---\n{head}---", *body]) + "\n"
