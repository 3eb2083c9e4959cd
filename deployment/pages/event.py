"""Writes the page of one event version."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from backbone.events.contracts import SENSITIVE
from backbone.events.fields import Field, fields_of
from backbone.events.wording import type_in_words
from deployment.pages.contents import Contents, Event
from deployment.pages.frame import NOW, page, to_event, to_service
from deployment.pages.markup import Markup, join, link, listed, table, tag

UP = "../"


def event_page(contents: Contents, event: Event) -> Markup:
    """Write the page."""
    message = event.message
    return page(
        f"{event.happening}.v{event.version}",
        tag("p", message["description"]),
        *_leaving(contents, event),
        _facts(contents, event),
        NOW,
        tag("h2", "Fields"),
        _fields(message["payload"]),
        tag("h2", "What follows what"),
        *_flow(contents, event),
        tag("h2", "Examples"),
        *_examples(message["examples"]),
        up=UP,
        live=message["name"],
    )


def _leaving(contents: Contents, event: Event) -> Iterator[Markup]:
    if told := event.leaving:
        use = told["use"].removeprefix("sliceline.")
        instead = to_event(contents.events[use], UP) if use in contents.events else use
        said = join(
            tag("strong", "On its way out. "),
            f"Published until {told['sunset']}: read ",
            instead,
            f" instead. {told['how']}",
        )
        yield tag("p", said, class_="warn")


def _facts(contents: Contents, event: Event) -> Markup:
    message = event.message
    owner = message.get("x-owner")
    file = f"schemas/{message['x-service']}/{message['x-event']}.v{event.version}.json"
    facts: dict[str, str | None] = {
        "Owner": link(f"mailto:{owner}", owner) if owner else None,
        "Kind": link(f"{UP}index.html#kinds", message["x-kind"]) if "x-kind" in message else None,
        "Published by": _services(event.producers),
        "Read by": _services(event.readers) or "nobody here",
        "Taken with all else by": _services(event.hearers) or None,
        "Channel": join(*(_channel(contents, each) for each in event.channels), by=", "),
        "Versions": join(*(_version(each, event) for each in contents.versions(event.happening)), by=", "),
        "Type": tag("code", message["name"]),
        "Contract": link(f"{UP}{file}", file),
    }
    told = (join(tag("dt", name), tag("dd", said)) for name, said in facts.items() if said)
    return tag("dl", *told)


def _services(names: list[str]) -> Markup:
    return join(*(to_service(name, UP) for name in names), by=", ")


def _channel(contents: Contents, name: str) -> Markup:
    channel = contents.channels[name]
    return join(tag("code", channel["address"]), f" (bus {channel['x-bus']})")


def _version(version: Event, shown: Event) -> Markup:
    name = f"v{version.version}"
    said = tag("span", name, aria_current="page") if version is shown else to_event(version, UP, name)
    return join(said, " (on its way out)") if version.leaving else said


def _fields(payload: Mapping[str, Any]) -> Markup:
    rows = (_row(name, each) for name, each in fields_of(dict(payload)).items() if _says_something(name, each))
    heads = ("field", "type", "meaning", "unit", "may be missing")
    return table("In its data; lines[] is each of a list, customer.name a part of customer.", heads, *rows)


def _says_something(name: str, field: Field) -> bool:
    """Tell whether the entries of a list need a row of their own: not where their parts say it all."""
    return not name.endswith("[]") or "description" in field.schema or "properties" not in field.schema


def _row(name: str, field: Field) -> tuple[str, ...]:
    schema = field.schema
    missing = "" if field.required else schema.get("x-optional", "yes")
    meaning = schema.get("description", "") + (" Sealed." if SENSITIVE in schema else "")
    return tag("code", name), type_in_words(schema), meaning, schema.get("x-unit", ""), missing


def _flow(contents: Contents, event: Event) -> Iterator[Markup]:
    follows = event.message["x-follows"]
    names = [_need(contents, each) for each in follows["events"]]
    beginnings = {
        "all": "It follows when there are all of",
        "any": "It follows on any of",
        "each": "Each has one of its own:",
    }
    if follows.get("unsaid"):
        beginnings["each"] = (
            "Its contract says nothing of what it follows on. It may be on anything that its service reads:"
        )
    if names:
        yield tag("p", beginnings[follows["mode"]])
        yield listed(*names)
    elif not follows.get("button"):
        yield tag("p", "It follows on no event: something from outside, or the time, leads to it.")
    if button := follows.get("button"):
        yield tag("p", "Somebody has to ask for it: ", tag("code", button), ".")
    if job := follows.get("job"):
        yield tag("p", "The job ", tag("code", job), " does it, later.")
    if unless := follows.get("unless"):
        yield tag(
            "p",
            "It does not come any more after ",
            join(*(_happening(contents, each) for each in unless), by=", "),
            ".",
        )
    if after := contents.following(event.happening):
        yield tag("p", "What may follow on it:")
        yield listed(*(_happening(contents, each) for each in after))


def _need(contents: Contents, need: Mapping[str, Any]) -> Markup:
    when = need.get("when")
    only = join(", of orders in which an event is like ", tag("code", json.dumps(when))) if when else None
    return join(_happening(contents, need["event"]), only)


def _happening(contents: Contents, name: str) -> Markup:
    versions = contents.versions(name)
    return to_event(versions[0], UP, name) if versions else Markup(name)


def _examples(examples: list[Mapping[str, Any]]) -> Iterator[Markup]:
    for each in examples:
        if each["name"] != "golden":
            yield tag("h3", each["name"].replace("-", " "))
        yield tag("pre", tag("code", json.dumps(each["payload"], indent=2, ensure_ascii=False)), tabindex="0")
