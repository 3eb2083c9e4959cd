"""What a service decides, as a value: its pure functions make it, and `Tx.apply` carries it out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from backbone.errors import SlicelineError
from backbone.events.payload import Payload

S = TypeVar("S")
"""The state of one thing: an order, a ticket, a balance."""
F = TypeVar("F")
"""What is decided by: an event, a job that is done."""

Happening = Payload | tuple[Payload, ...]
"""One event, or the same event in several versions, the oldest first."""


class Start(msgspec.Struct, frozen=True):
    """Asks for a job, due now or later. Without a `key` of its own it has that of the decision."""

    kind: str
    key: str | None = None
    data: Mapping[str, Any] | None = None
    due: datetime | None = None


class Decision(msgspec.Struct, Generic[S], frozen=True):
    """Holds a thing's state from now on, what is told of it, and the jobs to start and to stop.

    Whoever decides saves the state; all the rest is done by `Tx.apply`.
    """

    state: S
    events: tuple[Happening, ...] = ()
    start: tuple[Start, ...] = ()
    stop: tuple[str, ...] = ()


D = TypeVar("D", bound=Decision[Any])


class Refusal(SlicelineError):
    """A decision not to do what was asked for. The text says where things stand, for whoever asked."""


class Folded(msgspec.Struct, Generic[F, S, D], frozen=True):
    """Holds the states that changed, by key, and the decisions in order: each with its key and the fact behind it."""

    changed: dict[str, S]
    decisions: list[tuple[str, F, D]]

    def __iter__(self) -> Iterator[tuple[str, F, D]]:
        return iter(self.decisions)


def fold(
    known: Mapping[str, S], facts: Iterable[F], key: Callable[[F], str], decide: Callable[[S | None, F], D | None]
) -> Folded[F, S, D]:
    """Decide by each fact in its order, over the state that the facts before it have left under its key.

    `decide` gets None for a key that is not known, and returns None where a fact changes nothing and says nothing.
    """
    states, folded = dict(known), Folded[F, S, D]({}, [])
    for fact in facts:
        name = key(fact)
        decision = decide(states.get(name), fact)
        if decision is not None:
            states[name] = folded.changed[name] = decision.state
            folded.decisions.append((name, fact, decision))
    return folded
