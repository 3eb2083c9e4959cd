"""Says where one service stands with one thing, as it told when it was asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

Place = tuple[str, int]


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


def asked_of(key: str) -> dict[str, str]:
    """Return what a service is asked, beside its jobs, by what the answer is called in `standing`."""
    return {
        "backlog": "/backlog",
        "handled": "/handled",
        "letters": f"/dead-letters?limit=200&key={key}",
        "discarded": "/dead-letters/discarded?limit=200",
        "refused": "/refused-events?limit=200",
        "pauses": "/pauses?limit=200",
    }


def standing(address: str, said: Mapping[str, Any], key: str) -> Standing:
    """Read a service's answers; None among them is one that did not come, or of a service that has no such route."""
    backlog = said.get("backlog")
    if backlog is None:
        return Standing(address, answers=False)
    letters = msgspec.convert(_items(said, "letters"), list[Letter])
    return Standing(
        address=address,
        places=_places(said.get("handled")),
        letters=[each for each in letters if each.key == key],
        discarded=msgspec.convert(_items(said, "discarded"), list[Letter]),
        jobs=msgspec.convert(_items(said, "jobs"), list[Job]),
        pauses=msgspec.convert(_items(said, "pauses"), list[Pause]),
        refused=[each for each in msgspec.convert(_items(said, "refused"), list[Refused]) if each.key == key],
        outbox=msgspec.convert(backlog.get("outbox", {}), Outbox),
        log_breaks=msgspec.convert(backlog.get("log_breaks", []), list[LogBreak]),
    )


def _items(said: Mapping[str, Any], name: str) -> Sequence[Any]:
    answer = said.get(name)
    return answer["items"] if answer else ()


def _places(said: Mapping[str, Any] | None) -> Mapping[Place, int] | None:
    if not said:
        return None
    consumers = said["consumers"]
    places = [place for each in consumers for place in each["places"]]
    return {(place["topic"], place["partition"]): place["next_offset"] for place in places}
