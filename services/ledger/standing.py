"""Says where one service stands with one thing, as it told when it was asked."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

Place = tuple[str, int]
T = TypeVar("T")
_MOST_KEYS = 50
_LONGEST_QUERY = 8000


class Letter(msgspec.Struct, frozen=True):
    """Holds an event that the service has parked (one without an `error` waits behind another), or given up."""

    id: int
    topic: str
    partition: int
    offset: int
    key: str
    error: str | None = None
    parked_at: datetime | None = None
    discarded_by: str | None = None
    discarded_at: datetime | None = None
    reason: str | None = None


class Job(msgspec.Struct, frozen=True):
    """Holds a job that is not done."""

    id: int
    kind: str
    key: str
    due: datetime
    attempts: int = 0
    error: str | None = None
    parked_at: datetime | None = None


class Pause(msgspec.Struct, frozen=True):
    """Holds what somebody has paused: the `consumer`, a `key` or a kind of `job`."""

    what: str
    name: str
    reason: str = ""


class Refused(msgspec.Struct, frozen=True):
    """Holds an event of the service's own that Kafka has refused, or that waits behind one."""

    type: str
    key: str
    error: str | None = None
    refused_at: datetime | None = None


class Outbox(msgspec.Struct, frozen=True):
    """Holds how many events wait to be published, and since when."""

    waiting: int = 0
    since: datetime | None = None


class LogBreak(msgspec.Struct, frozen=True):
    """Tells that a topic did not fit the service's place in it, so that records may have gone by unread."""

    topic: str
    said: str
    since: datetime | None = None


class Standing(msgspec.Struct, frozen=True):
    """Holds what a service said. `places` None: it cannot tell how far it has read."""

    address: str = ""
    answers: bool = True
    places: Mapping[Place, int] | None = None
    letters: Sequence[Letter] = ()
    discarded: Sequence[Letter] = ()
    jobs: Sequence[Job] = ()
    pauses: Sequence[Pause] = ()
    refused: Sequence[Refused] = ()
    outbox: Outbox = Outbox()
    log_breaks: Sequence[LogBreak] = ()

    def letter_of(self, topic: str, partition: int, offset: int) -> Letter | None:
        """Return the parked event of a place."""
        return _at(self.letters, topic, partition, offset)

    def discarded_of(self, topic: str, partition: int, offset: int) -> Letter | None:
        """Return the event of a place that was given up."""
        return _at(self.discarded, topic, partition, offset)

    def pause_of(self, what: str, name: str) -> Pause | None:
        """Return the pause of something."""
        return next((each for each in self.pauses if (each.what, each.name) == (what, name)), None)


def _at(letters: Sequence[Letter], topic: str, partition: int, offset: int) -> Letter | None:
    place = (topic, partition, offset)
    return next((each for each in letters if (each.topic, each.partition, each.offset) == place), None)


def asked_of(order: str, keys: Collection[str], job_keys: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a service is asked about an order, as what `standing` calls the answer and the path.

    `keys` are those of the order's events: one is parked, or given up, under its own.
    """
    own = _query(order)
    return [
        ("backlog", "/backlog"),
        ("handled", "/handled"),
        ("pauses", "/pauses?limit=200"),
        ("refused", f"/refused-events?limit=200{own}"),
        *(("letters", f"/dead-letters?limit=200{_query(key)}") for key in keys),
        *(("discarded", f"/dead-letters/discarded?limit=200{_query(key)}") for key in keys),
        *(("jobs", f"/jobs?limit=200{part}") for part in _parts(job_keys)),
    ]


def _query(key: str) -> str:
    return f"&key={quote(key, safe='')}"


def _parts(keys: Iterable[str]) -> Iterator[str]:
    """Yield queries for keys, each with no more of them than fit into an address."""
    part, count = "", 0
    for query in map(_query, keys):
        if part and (count == _MOST_KEYS or len(part) + len(query) > _LONGEST_QUERY):
            yield part
            part, count = "", 0
        part, count = part + query, count + 1
    if part:
        yield part


def standing(address: str, said: Sequence[tuple[str, Any]], order: str) -> Standing:
    """Read a service's answers; None among them is one that did not come, or of a service that has no such route.

    A service that answers with something else than it should is one that does not answer.
    """
    try:
        return _standing(address, said, order)
    except (msgspec.ValidationError, LookupError, TypeError, AttributeError):
        return Standing(address, answers=False)


def _standing(address: str, said: Sequence[tuple[str, Any]], order: str) -> Standing:
    known = dict(said)
    backlog = known.get("backlog")
    if backlog is None:
        return Standing(address, answers=False)
    return Standing(
        address=address,
        places=_places(known.get("handled")),
        letters=_listed(said, "letters", list[Letter]),
        discarded=_listed(said, "discarded", list[Letter]),
        jobs=_listed(said, "jobs", list[Job]),
        pauses=_listed(said, "pauses", list[Pause]),
        refused=[each for each in _listed(said, "refused", list[Refused]) if each.key == order],
        outbox=msgspec.convert(backlog.get("outbox", {}), Outbox),
        log_breaks=msgspec.convert(backlog.get("log_breaks", []), list[LogBreak]),
    )


def _listed(said: Sequence[tuple[str, Any]], name: str, kind: type[list[T]]) -> list[T]:
    answers = [answer for each, answer in said if each == name and answer]
    return msgspec.convert([item for answer in answers for item in answer["items"]], kind)


def _places(said: Mapping[str, Any] | None) -> Mapping[Place, int] | None:
    if not said:
        return None
    consumers = said["consumers"]
    places = [place for each in consumers for place in each["places"]]
    return {(place["topic"], place["partition"]): place["next_offset"] for place in places}
