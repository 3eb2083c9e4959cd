"""Asks every service what became of events there."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from backbone.events.contracts import SCHEMAS
from services.ledger.asking import Services
from services.ledger.kept import Kept

_AT_ONCE = 500
UNREAD_FOR = 60.0
"""Seconds for which a service is believed that it does not read a type: a release may read more than the one before."""
OURSELVES = "ledger"


class Fault(msgspec.Struct, frozen=True):
    """Holds the error of an attempt that failed; of several events tried `together` any may have caused it."""

    error: str
    at: datetime | None = None
    together: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """Holds what became of one event at a listener, in the words that it says so itself."""

    state: str
    began_at: datetime | None = None
    handled_at: datetime | None = None
    at: datetime | None = None
    error: str | None = None
    attempts: int | None = None
    errors: tuple[Fault, ...] = ()


class Job(msgspec.Struct, frozen=True):
    """Holds a job that is not done."""

    kind: str
    key: str
    attempts: int
    error: str | None
    due: datetime
    first_attempt_at: datetime | None
    parked_at: datetime | None
    causationid: str | None


class Retried(msgspec.Struct, frozen=True):
    """Holds a job that has ended and took several attempts, with the last error before its end."""

    kind: str
    key: str
    attempts: int
    error: str | None
    ended_at: datetime
    causationid: str | None


class Account(msgspec.Struct, frozen=True):
    """Holds what a service says about events, in their order."""

    outcomes: tuple[Outcome, ...]
    jobs: tuple[Job, ...] = ()
    retried: tuple[Retried, ...] = ()


UNKNOWN = Outcome("unknown")
NOT_READ = Outcome("not read")
FINISHED = {"handled", "passed", "discarded"}
"""What a listener is done with, for better or worse."""


class Unread:
    """Remembers for a while which types of a topic a service does not read, as it has said itself."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str, str], float] = {}

    def leave_out(self, service: str, events: Sequence[Kept]) -> list[int]:
        """Say which events a service is asked about: those that it may read, and of each story one, for its jobs."""
        now, asked, stories = time.monotonic(), list[int](), set[str]()
        for at, event in enumerate(events):
            if self._until.get((service, event.topic, event.type), 0.0) < now:
                asked.append(at)
                stories.add(event.correlationid)
        for at, event in enumerate(events):
            if event.correlationid not in stories:
                asked.append(at)
                stories.add(event.correlationid)
        return asked

    def note(self, service: str, events: Sequence[Kept], outcomes: Sequence[Outcome]) -> None:
        """Remember what a service has said that it does not read."""
        until = time.monotonic() + UNREAD_FOR
        for event, outcome in zip(events, outcomes, strict=True):
            if outcome.state == NOT_READ.state:
                self._until[service, event.topic, event.type] = until


_unread: WeakKeyDictionary[Services, Unread] = WeakKeyDictionary()


async def accounts(services: Services, events: Sequence[Kept]) -> dict[str, Account | None]:
    """Return what each other service says about these events; None of one that does not answer."""
    names = [name for name in services.addresses if name != OURSELVES]
    unread = _unread.setdefault(services, Unread())
    found = await asyncio.gather(*(_account(services, name, events, unread) for name in names))
    return dict(zip(names, found, strict=True))


async def _account(services: Services, name: str, events: Sequence[Kept], unread: Unread) -> Account | None:
    """Ask a service about the events that it may read, some at a time; it has not read the others."""
    asked = unread.leave_out(name, events)
    parts = [asked[start : start + _AT_ONCE] for start in range(0, len(asked), _AT_ONCE)]
    answers = await asyncio.gather(*(_told(services, name, [events[at] for at in part]) for part in parts))
    outcomes = [NOT_READ] * len(events)
    jobs, retried = dict[tuple[str, str], Job](), dict[tuple[str, str, datetime], Retried]()
    for part, said in zip(parts, answers, strict=True):
        if said is None:
            return None
        unread.note(name, [events[at] for at in part], said.outcomes)
        for at, outcome in zip(part, said.outcomes, strict=True):
            outcomes[at] = outcome
        jobs |= {(each.kind, each.key): each for each in said.jobs}
        retried |= {(each.kind, each.key, each.ended_at): each for each in said.retried}
    return Account(tuple(outcomes), tuple(jobs.values()), tuple(retried.values()))


async def _told(services: Services, name: str, events: Sequence[Kept]) -> Account | None:
    said = _read(await services.post(name, "/outcomes", {"events": [_asked(each) for each in events]}))
    return None if said is None or len(said.outcomes) != len(events) else said


def _asked(event: Kept) -> Mapping[str, Any]:
    names = ("id", "source", "type", "occurrenceid", "correlationid", "topic", "partition", "offset")
    return {name: getattr(event, name) for name in names}


def _read(answer: Any | None) -> Account | None:
    try:
        return None if answer is None else msgspec.convert(answer, Account)
    except msgspec.ValidationError:
        return None


def is_said_to_read(service: str, event_type: str) -> bool:
    """Tell whether a service has written down that it reads events of a type, for one that does not answer."""
    return (SCHEMAS / "consumers" / service / f"{event_type.removeprefix('sliceline.')}.json").exists()
