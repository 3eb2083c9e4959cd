"""Writes the catalogue as pages that need no server and no script, from the AsyncAPI document alone."""

from collections.abc import Iterator
from pathlib import Path

from deployment.pages.asyncapi import Document
from deployment.pages.contents import Contents, Event
from deployment.pages.event import event_page
from deployment.pages.frame import NOW, file_of, page, to_event, to_service
from deployment.pages.markup import Markup, join, link, table, tag
from deployment.pages.picture import draw

HERE = Path(__file__).parent
COPIED = ("style.css", "live.js")
"""Files that go beside the pages as they are."""


def pages(document: Document) -> dict[str, str]:
    """Write every page, by its file's name."""
    contents = Contents(document)
    found: dict[str, str] = {"index.html": _index(contents), "map.svg": draw(contents)}
    found |= {f"services/{name}.html": _service(contents, name) for name in contents.services}
    found |= {file_of(each): event_page(contents, each) for each in contents.events.values()}
    return found | {name: (HERE / name).read_text() for name in COPIED}


def _index(contents: Contents) -> Markup:
    return page(
        "What the services tell each other",
        tag("p", contents.document["info"]["description"]),
        tag(
            "p",
            f"{len(contents.events)} events of {len(contents.services)} services. For tools: ",
            link("asyncapi.json", "AsyncAPI 3.0"),
            "; each contract is a JSON Schema.",
        ),
        tag("h2", "Who talks to whom"),
        tag("figure", draw(contents), tag("figcaption", _caption(contents), class_="soft")),
        NOW,
        _ways(contents),
        tag("h2", "Events"),
        *(part for name in contents.services for part in _events_of(contents, name)),
        tag("h2", "Kinds of event", id="kinds"),
        tag("dl", *_kinds(contents)),
        tag("h2", "Channels"),
        _channels(contents),
        live="",
    )


def _caption(contents: Contents) -> Markup:
    hearing = join(*(to_service(name, "") for name in contents.hearing), by=", ")
    return join(
        "A number counts the events on an arrow. Who is framed by dashes takes everything that comes in a topic, "
        "whatever its type, beside what arrows show: ",
        hearing,
        ".",
    )


def _ways(contents: Contents) -> Markup:
    rows = (
        (
            join(to_service(writer, ""), " to ", to_service(reader, "")),
            join(*(to_event(contents.events[key], "", key.partition(".")[2]) for key in keys), by=", "),
        )
        for (writer, reader), keys in sorted(contents.edges.items())
    )
    return table("The same in words", ("from and to", "events"), *rows)


def _kinds(contents: Contents) -> Iterator[Markup]:
    for kind, told in contents.document["info"]["x-kinds"].items():
        example = contents.events.get(told["example"])
        shown = join(" ", to_event(example, ""), " is one.") if example else None
        yield join(tag("dt", kind), tag("dd", f"An event of this kind {told['what']}", shown))


def _events_of(contents: Contents, service: str) -> Iterator[Markup]:
    if events := contents.of(service):
        yield tag("h3", to_service(service, ""))
        yield _table(contents.services[service]["about"], events)


def _table(caption: str, events: list[Event], up: str = "") -> Markup:
    rows = ((_named(each, up), each.message["summary"], _readers(each, up)) for each in events)
    return table(caption, ("event", "what happened", "read by"), *rows)


def _named(event: Event, up: str) -> Markup:
    mark = tag("span", "on its way out", class_="mark") if event.leaving else None
    return join(to_event(event, up, event.message["title"]), " " if mark else None, mark)


def _readers(event: Event, up: str) -> Markup:
    return join(*(to_service(name, up) for name in event.readers), by=", ")


def _channels(contents: Contents) -> Markup:
    rows = (
        (
            tag("code", each["address"]),
            each["x-bus"],
            each["description"],
            join(*(to_service(name, "") for name in _hearers(contents, channel)), by=", "),
        )
        for channel, each in contents.channels.items()
    )
    return table("Topics of Kafka", ("topic", "bus", "how it is kept", "who takes everything"), *rows)


def _hearers(contents: Contents, channel: str) -> list[str]:
    return [name for name, channels in contents.hearing.items() if channel in channels]


def _service(contents: Contents, name: str) -> Markup:
    told, up = contents.services[name], "../"
    hears = join(*(tag("code", contents.channels[each]["address"]) for each in contents.hearing.get(name, ())), by=", ")
    published, read = contents.of(name), contents.read_by(name)
    return page(
        name,
        tag("p", told["about"]),
        tag("h2", "Publishes"),
        _table("What others may hear of it", published, up) if published else tag("p", "Nothing."),
        tag("h2", "Reads"),
        _read(read, up) if read else tag("p", "Nothing in views of its own."),
        *([tag("p", "It takes everything that comes in ", hears, ".")] if hears else []),
        up=up,
    )


def _read(events: list[Event], up: str) -> Markup:
    rows = ((to_service(each.message["x-service"], up), _named(each, up), each.message["summary"]) for each in events)
    return table("What it does something on", ("of", "event", "what happened"), *rows)
