"""Rebuilds the state of one thing, as it was at a moment, from events alone and by a service's own decisions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec

from backbone.decision import Decision, fold
from backbone.events.payload import Event, Payload

Decide = Callable[[Any, Event[Any], datetime], Decision[Any] | None]
"""Decides by an event over the state before it (None: not known yet), at the moment at which it counts."""


class Rebuilding(msgspec.Struct, frozen=True):
    """Says how a service's state of one kind of thing follows from events.

    `heard` is what its handlers decide on the events of others. `told` is what events of its own tell of, for which a
    button, a command or a job was the reason, and no event. `at_once` are events of its own that a handler tells in the
    transaction in which it hears: they say when that was.
    """

    of: str
    """What the thing is called in a question: `order`, `sku`."""
    key: Callable[[Any], str | None]
    """Names the thing that a payload is about."""
    heard: Mapping[type[Payload], Decide]
    told: Mapping[type[Payload], Decide]
    at_once: frozenset[type[Payload]]
    show: Callable[[Any], Any]
    """Says a state as JSON has it, without what is personal."""
    lacks: str
    """What events alone cannot tell of it; empty where that is nothing."""

    @property
    def views(self) -> dict[str, type[Payload]]:
        """The payloads that matter, by their types."""
        return {view.TYPE: view for view in (*self.heard, *self.told, *self.at_once)}


class Unfit(msgspec.Struct, frozen=True):
    """Holds an event that the state before it does not fit, and why: some event is missing, or the code has changed."""

    id: str
    type: str
    why: str


class Rebuilt(msgspec.Struct, frozen=True):
    """Holds a state as it was, None where nothing was known, and since when it was so.

    `unheard` are events that had happened and that the service had not dealt with by then: what it tells when it does
    is not there.
    """

    state: Any
    since: datetime | None
    unheard: tuple[str, ...]
    unfit: tuple[Unfit, ...]


class _Step(msgspec.Struct, frozen=True):
    at: datetime
    is_told: bool
    event: Event[Any]


def rebuild(rebuilding: Rebuilding, key: str, events: Iterable[Event[Any]], at: datetime) -> Rebuilt:
    """Decide again by all events about `key` that counted by the moment `at`, each at the moment at which it did.

    An event of others counts from the moment at which the service told what it decided on it. What it said nothing of
    counts from the moment at which it happened, because nothing tells when it was heard.
    """
    about = [event for event in events if rebuilding.key(event.data) == key]
    answers = _answers(rebuilding, about)
    steps = sorted(_steps(rebuilding, about, answers), key=lambda step: (step.at, step.is_told, step.event.sequence))
    unheard, unfit = list[str](), list[Unfit]()

    def decide(state: Any, step: _Step) -> Decision[Any] | None:
        event = step.event
        try:
            decision = _table(rebuilding, step)[type(event.data)](state, event, step.at)
        except Exception as error:  # whatever it is: the service would refuse, or park, the event
            unfit.append(Unfit(event.id, event.type, str(error) or type(error).__name__))
            return None
        if not step.is_told and event.id not in answers and _answer_at_once(rebuilding, decision):
            unheard.append(event.id)
            return None
        return decision

    folded = fold({}, [step for step in steps if step.at <= at], lambda _: key, decide)
    changes = [step.at for _, step, _ in folded]
    shown = rebuilding.show(folded.changed[key]) if changes else None
    late = [step.event.id for step in steps if not step.is_told and step.event.time <= at < step.at]
    return Rebuilt(shown, changes[-1] if changes else None, (*unheard, *late), tuple(unfit))


def _answers(rebuilding: Rebuilding, events: Sequence[Event[Any]]) -> Mapping[str, datetime]:
    """Tell when the service told what it decided at once, by the ids of the events on which it did."""
    told = defaultdict[str, list[datetime]](list)
    for event in events:
        if type(event.data) in rebuilding.at_once and event.causationid is not None:
            told[event.causationid].append(event.time)
    return {cause: min(times) for cause, times in told.items()}


def _steps(rebuilding: Rebuilding, events: Iterable[Event[Any]], answers: Mapping[str, datetime]) -> Iterable[_Step]:
    for event in events:
        if type(event.data) in rebuilding.heard:
            yield _Step(max(event.time, answers.get(event.id, event.time)), False, event)
        if type(event.data) in rebuilding.told:
            yield _Step(event.time, True, event)


def _table(rebuilding: Rebuilding, step: _Step) -> Mapping[type[Payload], Decide]:
    return rebuilding.told if step.is_told else rebuilding.heard


def _answer_at_once(rebuilding: Rebuilding, decision: Decision[Any] | None) -> bool:
    said = decision.events if decision else ()
    told = chain.from_iterable(each if isinstance(each, tuple) else (each,) for each in said)
    return any(type(each) in rebuilding.at_once for each in told)
