"""Understands which service is wanted: holds the words of the command against what there is."""

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from backbone.events.contracts import schema_of, schemas_of
from backbone.events.envelope import parse_type
from local.layout import FIXED
from services import CATALOGUE

NAME = re.compile("[a-z][a-z0-9]{2,23}")
EVENT = re.compile("[a-z]+(-[a-z]+)+")
LONGEST_EVENT = 40
PATHS = (
    *("acts", "audit", "backlog", "docs", "handled", "health", "jobs", "metrics", "openapi", "outcomes", "pauses"),
    *("problems", "redrives", "replays", "reread", "samples", "schemas", "state"),
)
"""Where the backbone of every service answers, as far as a service could be called so."""
TAKEN = (
    *("backbone", "bench", "cli", "deployment", "local", "sandbox", "services", "tests"),  # our packages
    *("consumers", "kafka", "migrate", "operator", "public", "robot", "sliceline", "tables", "template0", "template1"),
    *("false", "null", "off", "true", "yes"),  # no words to YAML
)


class Unwanted(Exception):
    """No service can be made of these words; the message says why."""


@dataclass(frozen=True)
class View:
    """Describes an event to be read.

    That is its type, what its class is called, and the field that names what it is about.
    """

    type: str
    class_name: str
    field: str | None

    @property
    def event(self) -> str:
        return parse_type(self.type).event


@dataclass(frozen=True)
class Wanted:
    """Describes a service that can be made."""

    name: str
    port: int
    reads: tuple[View, ...]
    publishes: tuple[str, ...]


def wanted(name: str, reads: Sequence[str], publishes: Sequence[str]) -> Wanted:
    """Understand the words of the command. Raises Unwanted."""
    _check_name(name)
    for event in publishes:
        _check_event(event)
    types = list(dict.fromkeys(type_of(text) for text in reads))
    if not types:
        raise Unwanted("Say what it reads: --reads order-completed. docs/events.md lists all events.")
    return Wanted(name, next_port(), tuple(_views(types, publishes)), tuple(dict.fromkeys(publishes)))


def next_port() -> int:
    """Choose a port after those of the catalogue that nothing of ours uses."""
    used = {*CATALOGUE.values(), *FIXED.values()}
    return next(port for port in range(max(CATALOGUE.values()) + 1, 65536) if port not in used)


def type_of(text: str) -> str:
    """Find the event type that a text means: all of it, or `[<service>.]<event>[.v<N>]`.

    The newest version is the default. Raises Unwanted where the text means no event, or events of
    several services.
    """
    known = [event_type for service in CATALOGUE for event_type in schemas_of(service)]
    found = {parse_type(each).service: each for each in known if text in _names_of(each)}  # the newest comes last
    if len(found) > 1:
        choices = " or ".join(each.removeprefix("sliceline.") for each in found.values())
        raise Unwanted(f"{' and '.join(found)} both publish {text}. Say which: {choices}.")
    if not found:
        raise Unwanted(f"Nobody publishes {text}. {_hint(text, known)}")
    [event_type] = found.values()
    return event_type


def class_of(event: str) -> str:
    """Name an event's class: `OrderCompleted` for `order-completed`."""
    return "".join(word.capitalize() for word in event.split("-"))


def _names_of(event_type: str) -> tuple[str, ...]:
    service, event, version = parse_type(event_type)
    return event_type, f"{service}.{event}.v{version}", f"{service}.{event}", f"{event}.v{version}", event


def _hint(text: str, known: Iterable[str]) -> str:
    by_name = {name: each for each in known for name in _names_of(each)}
    near = dict.fromkeys(by_name[each] for each in get_close_matches(text, by_name, n=9, cutoff=0.6))
    names = [each.removeprefix("sliceline.") for each in near][:3]
    return f"Did you mean {' or '.join(names)}?" if names else "docs/events.md lists all events."


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Unwanted(f"{name} is no name for a service: take 3 to 24 lower-case letters and digits, a letter first.")
    if name in CATALOGUE:
        raise Unwanted(f"There is a service {name} already.")
    if name in (*TAKEN, *PATHS, *FIXED) or keyword.iskeyword(name):
        raise Unwanted(f"{name} means something else here. Give the service another name.")


def _check_event(event: str) -> None:
    if not EVENT.fullmatch(event) or len(event) > LONGEST_EVENT:
        raise Unwanted(
            f"{event} is no name for an event: take what has happened to what, at most {LONGEST_EVENT} characters, "
            "in lower-case letters and past tense: rating-given."
        )


def _views(types: Sequence[str], publishes: Sequence[str]) -> Iterator[View]:
    """Make the view of each event, with a class name of its own.

    A name that would stand there twice gets the service's name in front, or the version behind.
    """
    services = {(parse_type(each).event, parse_type(each).service) for each in types}
    owners = Counter([*(event for event, _ in services), *set(publishes)])
    versions = Counter((parse_type(each).event, parse_type(each).service) for each in types)
    for each in types:
        service, event, version = parse_type(each)
        owner = service.capitalize() if owners[event] > 1 else ""
        yield View(
            each, f"{owner}{class_of(event)}{f'V{version}' if versions[event, service] > 1 else ''}", _field(each)
        )


def _field(event_type: str) -> str | None:
    """Return the name of the first text that every such event has, or None.

    By our rules that text is what the event is about.
    """
    schema = schema_of(event_type)
    texts = (name for name, described in schema.get("properties", {}).items() if described.get("type") == "string")
    required = (name for name in texts if name in schema.get("required", ()))
    return next((name for name in required if name.isidentifier() and not keyword.iskeyword(name)), None)
