"""Asks every service what became of events there."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from backbone.events.contracts import SCHEMAS
from services.ledger.asking import Services
from services.ledger.kept import Kept

_AT_ONCE = 100
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


async def accounts(services: Services, events: Sequence[Kept]) -> dict[str, Account | None]:
    """Return what each other service says about these events; None of one that does not answer."""
    names = [name for name in services.addresses if name != OURSELVES]
    found = await asyncio.gather(*(_account(services, name, events) for name in names))
    return dict(zip(names, found, strict=True))


async def _account(services: Services, name: str, events: Sequence[Kept]) -> Account | None:
    whole = Account(())
    for start in range(0, len(events), _AT_ONCE):
        some = events[start : start + _AT_ONCE]
        said = _read(await services.post(name, "/outcomes", {"events": [_asked(each) for each in some]}))
        if said is None or len(said.outcomes) != len(some):
            return None
        whole = Account((*whole.outcomes, *said.outcomes), (*whole.jobs, *said.jobs), (*whole.retried, *said.retried))
    return whole


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
