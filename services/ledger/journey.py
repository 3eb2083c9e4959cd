"""Tells an order's journey from its events: what happened, how long each part of it took, and who has finished with it.

Pure: events and what the listeners say go in, the journey comes out.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.ledger.kept import Archived, Kept, data_of
from services.ledger.listeners import FINISHED, NOT_READ, UNKNOWN, Account, Fault, Job, Outcome, Retried
from services.ledger.sentences import sentence

Reads = Callable[[str, str], bool]
"""Tells whether a service reads events of a type, as far as is written down."""


class JobOf(msgspec.Struct, frozen=True):
    """Holds a job that is not done, and whose it is."""

    service: str
    kind: str
    key: str
    attempts: int
    error: str | None
    due: datetime
    parked_at: datetime | None


class Listener(msgspec.Struct, frozen=True):
    """Holds how far a listener is with an event. Spans are in milliseconds, None where they are not known."""

    service: str
    state: str
    in_topic_ms: float | None
    in_handler_ms: float | None
    handled_at: datetime | None
    since: datetime | None
    error: str | None
    attempts: int | None
    """How often it was tried, where that is known, and the last errors of those attempts that failed."""
    errors: tuple[Fault, ...]
    jobs: tuple[JobOf, ...]
    retried: tuple[Retried, ...]
    """Jobs that it has set off, that have ended and took several attempts."""

    @property
    def has_finished(self) -> bool:
        """Tell whether nothing more comes of the event there: no job that it has set off is left either."""
        return self.state in FINISHED and not self.jobs


class Step(msgspec.Struct, frozen=True):
    """Holds one event of the journey, told in a sentence."""

    event: str
    source: str
    type: str
    key: str
    correlationid: str
    causationid: str | None
    time: datetime
    sentence: str
    data: Any
    after_ms: float | None
    in_outbox_ms: float | None
    archived_at: datetime
    listeners: tuple[Listener, ...]
    finished: tuple[str, ...]
    unfinished: tuple[str, ...]
    unknown: tuple[str, ...]


class Journey(msgspec.Struct, frozen=True):
    """Holds what happened to an order. `is_cut`: it has more events than are told here."""

    order: str
    steps: tuple[Step, ...]
    took_ms: float
    unfinished: tuple[str, ...]
    unanswered: tuple[str, ...]
    jobs: tuple[JobOf, ...]
    """Those that no event of the journey has set off, but a command."""
    is_cut: bool


def own(order: str, of_key: Sequence[Archived], of_stories: Sequence[Archived]) -> list[Archived]:
    """Return what belongs to an order, in order: its events, and those that came of them and are of no other order.

    What led to an event comes before it, whatever the clocks of two databases say.
    """
    related = [each for each in of_stories if _order_of(each) in (None, order)]
    found = {(each.source, each.id): each for each in (*of_key, *related)}
    ways = _ways({each.id: each for each in found.values()})
    return sorted(found.values(), key=lambda each: (*_after(each, ways), each.topic, each.sequence))


Way = tuple[datetime, int]
"""The latest moment on the way that led to an event, itself included, and how long that way is."""


def _ways(by_id: Mapping[str, Kept]) -> Mapping[str, Way]:
    """Return the way to each event. Each is walked once: what has led to one has led to many."""
    known: dict[str, Way] = {}
    for event in by_id.values():
        walked: dict[str, Kept] = {}
        at: Kept | None = event
        while at is not None and at.id not in known and at.id not in walked:
            walked[at.id] = at
            at = by_id.get(at.causationid or "")
        for each in reversed(walked.values()):
            known[each.id] = _after(each, known)
    return known


def _after(event: Kept, known: Mapping[str, Way]) -> Way:
    cause = known.get(event.causationid or "")
    return (event.time, 0) if cause is None else (max(cause[0], event.time), cause[1] + 1)


def _order_of(event: Kept) -> str | None:
    """Return the order that an event is about; None where it names none."""
    data = data_of(event)
    order = data.get("order") if isinstance(data, dict) else None
    return order if isinstance(order, str) else None


def journey(
    order: str, events: Sequence[Archived], accounts: Mapping[str, Account | None], reads: Reads, *, is_cut: bool
) -> Journey:
    """Tell the journey of an order from its events, which are in order."""
    steps = tuple(
        _step(event, events[at - 1].time if at else None, _listeners(at, event, accounts, reads))
        for at, event in enumerate(events)
    )
    ids = {each.id for each in events}
    return Journey(
        order=order,
        steps=steps,
        took_ms=_ms(events[-1].time - events[0].time),
        unfinished=tuple(sorted({name for step in steps for name in step.unfinished})),
        unanswered=tuple(name for name, account in accounts.items() if account is None),
        jobs=tuple(
            _job(name, job) for name, job in _jobs(accounts) if job.causationid is None or job.causationid not in ids
        ),
        is_cut=is_cut,
    )


def _step(event: Archived, before: datetime | None, listeners: tuple[Listener, ...]) -> Step:
    data = data_of(event)
    return Step(
        event=event.id,
        source=event.source,
        type=event.type,
        key=event.key,
        correlationid=event.correlationid,
        causationid=event.causationid,
        time=event.time,
        sentence=sentence(event.type, data),
        data=data,
        after_ms=_between(before, event.time),
        in_outbox_ms=_between(event.time, event.recorded_at),
        archived_at=event.archived_at,
        listeners=listeners,
        finished=tuple(each.service for each in listeners if each.has_finished),
        unfinished=tuple(each.service for each in listeners if not each.has_finished and each.state != UNKNOWN.state),
        unknown=tuple(each.service for each in listeners if each.state == UNKNOWN.state),
    )


def _listeners(at: int, event: Kept, accounts: Mapping[str, Account | None], reads: Reads) -> tuple[Listener, ...]:
    found: list[Listener] = []
    for name, account in accounts.items():
        outcome = account.outcomes[at] if account else UNKNOWN if reads(name, event.type) else NOT_READ
        if outcome.state != NOT_READ.state:
            found.append(_listener(name, event, outcome, account or Account(())))
    return tuple(found)


def _listener(name: str, event: Kept, outcome: Outcome, account: Account) -> Listener:
    return Listener(
        service=name,
        state=outcome.state,
        in_topic_ms=_between(event.recorded_at, outcome.began_at),
        in_handler_ms=_between(outcome.began_at, outcome.handled_at),
        handled_at=outcome.handled_at,
        since=outcome.at,
        error=outcome.error,
        attempts=outcome.attempts,
        errors=outcome.errors,
        jobs=tuple(_job(name, job) for job in account.jobs if job.causationid == event.id),
        retried=tuple(job for job in account.retried if job.causationid == event.id),
    )


def _jobs(accounts: Mapping[str, Account | None]) -> list[tuple[str, Job]]:
    return [(name, job) for name, account in accounts.items() if account for job in account.jobs]


def _job(service: str, job: Job) -> JobOf:
    return JobOf(service, job.kind, job.key, job.attempts, job.error, job.due, job.parked_at)


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    """Return the span between two moments; clocks that disagree make it none, and never less."""
    return None if begin is None or end is None else _ms(end - begin)


def _ms(span: timedelta) -> float:
    return max(0.0, round(span / timedelta(milliseconds=1), 3))
