"""Checks what a service says it reads and publishes: every TYPE has a schema, and each reader's view fits it.

`buses.toml` has to let it do so as well.

Asked at every start, and by `./sliceline contracts` for all services at once. A typo would otherwise be silent: nobody
publishes the misspelt type, the reader goes past the true one, and a writer finds out at its first event.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from backbone.consuming.handlers import topic_of_view
from backbone.events import buses, contracts
from backbone.events.buses import NotAllowed, UnknownBus
from backbone.events.contracts import BrokenSchema, UnknownContract, consumer_schema, schema_of
from backbone.events.envelope import is_type, parse_type
from backbone.events.losses import losses
from backbone.events.payload import Payload, Unread
from backbone.service import Service

View = type[Payload]


def objections(service: Service[Any]) -> list[str]:
    """Say, one sentence for each, what is wrong with the types that a service reads and publishes."""
    return [
        *_read_twice(service),
        *(said for view in service.handlers for said in _reading(service.name, view)),
        *(said for payload in service.publishes for said in _publishing(service.name, payload)),
        *(said for payload in undeclared(service) for said in _lacking(f"{service.name} declares", payload)),
    ]


def undeclared(service: Service[Any]) -> list[View]:
    """Return the payloads that a service's modules define and that it lists neither as read nor as published."""
    places = ("__main__", f"services.{service.name}.")
    found = [each for each in _all(Payload) if f"{each.__module__}.".startswith(places) and hasattr(each, "TYPE")]
    return [each for each in found if each not in service.handlers and each not in service.publishes]


def _all(payload: View) -> Iterator[View]:
    for each in payload.__subclasses__():
        yield each
        yield from _all(each)


def _read_twice(service: Service[Any]) -> Iterator[str]:
    """Object to types with two handlers, of which only one would ever be called."""
    times = Counter((_type_of(view), view.BUS) for view in service.handlers)
    yield from (f"{service.name} reads {each} twice." for (each, _), count in times.items() if each and count > 1)


def _reading(name: str, view: View) -> Iterator[str]:
    if not issubclass(view, Unread):  # a topic's events as they come: whatever they say is fine
        lacking = list(_lacking(f"{name} reads", view))
        yield from lacking or _losing(name, view)
        if lacking:
            return
    yield from _not_let_read(name, view)


def _not_let_read(name: str, view: View) -> Iterator[str]:
    try:
        topic = topic_of_view(view)
    except UnknownBus as error:
        yield f"{name} reads {view.TYPE} ({view.__name__}) from the bus {view.BUS}. {error}"
        return
    bus = buses.bus_of(topic)
    if bus is None:
        yield f"{name} reads the topic {topic}, which is of no bus in buses.toml."
    elif not bus.lets_read(name):
        yield f"{name} may not read {topic}: buses.toml lets {buses.listed(bus.read)} read the bus {bus.name}."


def _publishing(name: str, payload: View) -> Iterator[str]:
    lacking = list(_lacking(f"{name} publishes", payload))
    yield from lacking or _not_let_publish(name, payload)


def _not_let_publish(name: str, payload: View) -> Iterator[str]:
    what = f"{name} publishes {payload.TYPE} ({payload.__name__})"
    if (owner := parse_type(payload.TYPE).service) != name:
        yield f"{what}, which only {owner} may."
        return
    try:
        buses.publishing(payload.BUS, name)
    except (UnknownBus, NotAllowed) as error:
        yield f"{what} to the bus {payload.BUS}. {error}"


def _losing(name: str, view: View) -> Iterator[str]:
    """Say what a reader asks for that the contract does not promise."""
    try:
        takes = consumer_schema(view)
    except TypeError as error:
        yield f"{name} reads {view.TYPE} ({view.__name__}) as what no schema can describe: {error}"
        return
    event = view.TYPE.removeprefix("sliceline.")
    for loss in losses(takes, schema_of(view.TYPE)):
        yield f"{name} {loss.does} in {event}; the schema {loss.says}"


def _lacking(does: str, payload: View) -> Iterator[str]:
    """Say why there is no contract for a payload."""
    event_type = _type_of(payload)
    if event_type is None:
        yield f"{does} {payload.__name__}, which has no TYPE."
        return
    what = f"{does} {event_type} ({payload.__name__})"
    if not is_type(event_type):
        yield f"{what}, which does not have the shape sliceline.<service>.<event>.v<N>.{_hint(event_type)}"
        return
    try:
        contracts.load(event_type)
    except UnknownContract:
        yield f"{what}, which no schema describes.{_hint(event_type)}"
    except BrokenSchema as error:
        yield f"{what}. {error}"
    else:
        if since := contracts.retired(event_type):
            yield f"{what}, which was retired on {since}."


def _type_of(payload: View) -> str | None:
    event_type: str | None = getattr(payload, "TYPE", None)
    return event_type


def _hint(event_type: str) -> str:
    if near := contracts.nearest(event_type):
        return f" Did you mean {near}?"
    return " Write it to schemas/<service>/<event>.v<N>.json, or mend the TYPE."
