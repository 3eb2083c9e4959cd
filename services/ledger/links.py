"""Says what a link of the way to an event is, and what the broken ones are called."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.ledger.standing import Job, Letter, LogBreak, Pause, Standing
from services.ledger.wiring import Wiring, short


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Is an archived event as far as it matters here; `whole` is what patterns see."""

    id: str
    type: str
    time: datetime
    topic: str
    partition: int
    offset: int
    key: str
    occurrenceid: str
    causationid: str | None = None
    whole: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        """Its short name, without a version."""
        return short(self.type)

    @property
    def publisher(self) -> str:
        """The service that told it."""
        return self.name.split(".", 1)[0]


class Facts(msgspec.Struct, frozen=True):
    """Holds all that is known of an order: its events, the oldest first, and where each service stands with it."""

    order: str
    events: Sequence[Seen]
    wiring: Wiring
    standings: Mapping[str, Standing]
    now: datetime


class Link(msgspec.Struct, frozen=True):
    """Is a step of the way that holds."""

    text: str
    at: datetime | None = None


class Broken(msgspec.Struct, frozen=True):
    """Is the first link that does not hold: whose it is, what is wrong since when, and the command that mends it."""

    kind: str
    service: str
    text: str
    command: str | None = None
    since: datetime | None = None


class Happened(msgspec.Struct, frozen=True):
    """Tells when what was expected happened."""

    at: datetime
    text: str
    event: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """Says that it has happened, or where the way to it breaks; `chain` are the links that hold."""

    happened: Happened | None
    broken: Broken | None
    chain: tuple[Link, ...]


def happened(event: Seen) -> Happened:
    """Tell of an event."""
    return Happened(event.time, f"{event.name} happened.", event.id)


def ended(name: str, end: Seen) -> Broken:
    """Say that something else came first, for good."""
    return Broken("ended", end.publisher, f"{name} does not come any more: {end.name} came first.", None, end.time)


def silent(service: str) -> Broken:
    """Say that nobody is there."""
    return Broken("no-answer", service, f"{service} does not answer.", f"./sliceline restart {service}")


def paused(service: str, pause: Pause) -> Broken:
    """Say that somebody has paused a consumer, a key or a kind of job."""
    named = {"consumer": "its consumer", "key": f"key {pause.name}", "job": f"its jobs of the kind {pause.name}"}
    name = shlex.quote(pause.name)
    option = {"consumer": "", "key": f" --key {name}", "job": f" --jobs {name}"}[pause.what]
    said = f"{service} rests, because somebody has paused {named[pause.what]}: {pause.reason}"
    return Broken("paused", service, said, f"./sliceline resume {service}{option}")


def parked(service: str, event: Seen, letter: Letter, first: Letter) -> Broken:
    """Say that an event is parked, or held behind the first letter of its key that is."""
    command = f"./sliceline dead-letters redrive {service} --key {shlex.quote(event.key)}"
    if letter.error:
        said = f"{service} could not handle {event.name} and parked it (letter {letter.id}): {letter.error}"
        return Broken("parked", service, said, command, letter.parked_at)
    said = f"{service} holds {event.name} behind letter {first.id} of its key: {first.error or 'it waits too'}"
    return Broken("held", service, said, command, first.parked_at)


def discarded(service: str, event: Seen, letter: Letter) -> Broken:
    """Say that somebody gave an event up."""
    said = f"{service} never handled {event.name}: {letter.discarded_by} gave it up, because: {letter.reason}"
    return Broken("discarded", service, said, None, letter.discarded_at)


def behind(service: str, event: Seen, next_offset: int) -> Broken:
    """Say that a service has not come to an event yet."""
    first = event.offset - next_offset
    said = f"{service} has not read {event.name} yet: {first} records of {event.topic} come first."
    return Broken("behind", service, said, f"./sliceline logs {service}", event.time)


def skipped(service: str, gap: LogBreak) -> Broken:
    """Say that a service may have gone past an event."""
    said = f"{service} may have gone past it unread: {gap.said}"
    return Broken("skipped", service, said, f"./sliceline heal {service}", gap.since)


def refused(service: str, name: str, standing: Standing) -> Broken:
    """Say that Kafka did not take an event, or one before it."""
    first = next((each for each in standing.refused if each.error), standing.refused[0])
    said = f"{service} told {name}, and Kafka refused it or one before it: {first.error}"
    command = f"./sliceline redrive {service} --key {shlex.quote(first.key)}"
    return Broken("refused", service, said, command, first.refused_at)


def unpublished(service: str, standing: Standing) -> Broken:
    """Say that a service's events do not get out."""
    outbox = standing.outbox
    said = f"{outbox.waiting} events of {service} wait in its outbox; what it told last may be among them."
    return Broken("outbox", service, said, f"./sliceline logs {service}", outbox.since)


def undone(service: str, job: Job, now: datetime, standing: Standing) -> Broken:
    """Say why a job is not done."""
    name = f"The {job.kind} job of {service}"
    if job.parked_at:
        said = f"{name} was given up after {job.attempts} attempts: {job.error}"
        command = f"./sliceline redrive {service} --key {shlex.quote(job.key)}"
        return Broken("job-parked", service, said, command, job.parked_at)
    if pause := standing.pause_of("job", job.kind):
        return paused(service, pause)
    look = f"./sliceline logs {service}"
    if job.error:
        said = f"{name} has failed {job.attempts} times and is tried again at {job.due:%H:%M:%SZ}: {job.error}"
        return Broken("job-failing", service, said, look, job.due)
    if job.due > now:
        return Broken("job-later", service, f"{name} is due at {job.due:%Y-%m-%d %H:%M:%SZ}.", None, job.due)
    return Broken("job-waiting", service, f"{name} is due, and has not been done yet.", look, job.due)


def unpressed(service: str, name: str, address: str, path: str) -> Broken:
    """Say that it is somebody's turn."""
    said = f"{name} comes when somebody asks for it, and nobody has."
    return Broken("button", service, said, f"curl -X POST {address}{path}")


def otherwise(service: str, name: str, others: Sequence[Seen]) -> Broken:
    """Say what a service told instead."""
    told = ", ".join(dict.fromkeys(each.name for each in others))
    return Broken("otherwise", service, f"{service} told {told}, and no {name}.", None, others[0].time)


def unknown(service: str, name: str, triggers: Sequence[Seen]) -> Broken:
    """Say that nothing is in the way, as far as anybody knows."""
    heard = " and ".join(dict.fromkeys(each.name for each in triggers)) or "what there is"
    said = f"{service} has handled {heard} and told no {name}: it decided so, or it is on its way to the archive."
    return Broken("nothing-told", service, said, f"./sliceline logs {service}")


def unarchived(event: str, pause: Pause | None) -> Broken:
    """Say that the archive itself lacks something, so that it cannot tell."""
    command = "./sliceline resume ledger" if pause else "./sliceline dead-letters redrive ledger --all"
    said = f"The archive is not whole for this order, so {event} may have happened."
    return Broken("archive", "ledger", said, command)
