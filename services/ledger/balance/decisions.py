"""Decides in pure functions whether what consumers did adds up to what the archive holds.

Both sides count records by their offsets, each once, so that they can be compared at any moment: what the archive has
and a consumer has not reached yet is in flight. The sheet then tells of events: a copy, the same event delivered at
another offset, is taken off where it was ignored, or where it lies.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import asdict

from backbone.events.topics import PartitionId


class Records(msgspec.Struct, frozen=True):
    """Counts records: those that first told of an event, and copies of such."""

    events: int = 0
    copies: int = 0

    @property
    def total(self) -> int:
        """How many records there are."""
        return self.events + self.copies

    def __add__(self, other: "Records") -> "Records":
        return Records(self.events + other.events, self.copies + other.copies)

    def __sub__(self, other: "Records") -> "Records":
        return Records(self.events - other.events, self.copies - other.copies)


NONE = Records()
ByType = Mapping[str, Records]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Says which records of a partition a consumer has counted: [since, counted) of a log."""

    topic: str
    partition: int
    since: int | None = msgspec.field(name="since_offset")
    since_at: datetime | None = None
    counted: int = msgspec.field(name="counted_offset")
    uncounted_from: int | None = None
    """From there on somebody has read who does not count."""
    log: str | None = None

    @property
    def at(self) -> PartitionId:
        """The partition."""
        return self.topic, self.partition


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Says what became of the records of one type in one partition."""

    topic: str = ""
    partition: int = 0
    type: str
    applied: int = 0
    ignored: int = 0
    repeated: int = 0
    parked: int = 0
    held: int = 0
    discarded: int = 0

    @property
    def total(self) -> int:
        """How many records were counted."""
        return self.applied + self.ignored + self.repeated + self.parked + self.held + self.discarded


class Told(msgspec.Struct, frozen=True):
    """Holds what a service tells of one of its consumers."""

    consumer: str
    counts: tuple[Count, ...]
    places: tuple[Place, ...]

    def counts_of(self, place: PartitionId) -> dict[str, Count]:
        """Return the counts of a partition, by type."""
        return {each.type: each for each in self.counts if (each.topic, each.partition) == place}


class Kept(msgspec.Struct, frozen=True):
    """Says what the archive holds beside a consumer's part: before it began to count, and not reached by it yet.

    `heard_first` counts by type those copies which tell a consumer of an event for the first time: the first one came
    before it began, or in a log that is gone.
    """

    before: ByType = {}
    flying: ByType = {}
    heard_first: Mapping[str, int] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Is a line of the sheet: distinct events, by what became of them. It balances where none is `missing` or `twice`.

    archived = applied + ignored + parked + held + discarded + in_flight + missing - twice.
    """

    type: str
    archived: int = 0
    applied: int = 0
    ignored: int = 0
    parked: int = 0
    held: int = 0
    discarded: int = 0
    in_flight: int = 0
    copies: int = 0
    missing: int = 0
    """Archived, and nothing became of them."""
    twice: int = 0
    """Counted, or applied, more often than they were archived."""


Cell = tuple[str, int, str]
"""A partition's topic and number, and a type of event there."""


class Difference(msgspec.Struct, frozen=True, order=True):
    """Says where a consumer's part does not add up."""

    topic: str
    partition: int
    type: str
    missing: int
    twice: int

    @property
    def at(self) -> PartitionId:
        """The partition."""
        return self.topic, self.partition

    @property
    def cell(self) -> Cell:
        """What of a consumer it is about."""
        return self.topic, self.partition, self.type


Candidates = Mapping[tuple[str, Cell], list[str]]
"""Ids of events of which some may be concerned, by consumer and cell."""


class Open(msgspec.Struct, frozen=True):
    """Names a partition that cannot be compared now, and why."""

    topic: str
    partition: int
    why: str


class Sheet(msgspec.Struct, frozen=True):
    """Is the balance sheet of one consumer."""

    consumer: str
    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    open: tuple[Open, ...]


def read_told(answer: Any) -> list[Told] | None:
    """Read what a service answers to GET /handled; None where it is no such answer."""
    try:
        return msgspec.convert(answer, _Answer).consumers
    except msgspec.ValidationError:
        return None


class _Answer(msgspec.Struct):
    consumers: list[Told]


BEING_COUNTED = "what the archive has from before the consumer counted is being counted"


def objection(own: Place | None, theirs: Place) -> str | None:
    """Say why a consumer's place cannot be compared with the archive's now; None where it can."""
    if own is None or own.since is None:
        return "the archive does not read it yet"
    if theirs.since is None:
        return "it is not counted yet: the consumer has not taken its place anew since it was upgraded"
    if theirs.uncounted_from is not None:
        return f"not counted since offset {theirs.uncounted_from}: a replica of an older release has it"
    if own.uncounted_from is not None:
        return f"not counted since offset {own.uncounted_from}: a replica of the ledger of an older release has it"
    if own.log != theirs.log:
        return "the topic was made anew, and one of the two has not noticed yet"
    if own.counted < max(theirs.counted, theirs.since):
        return f"the archive is behind: it is at {own.counted}, the consumer at {theirs.counted}"
    return None


def taken_as_given(own: ByType, told: Mapping[str, Count], flying: ByType) -> dict[str, Records]:
    """Return what a consumer that began before the archive has of which the archive does not know."""
    return {
        each: Records(own.get(each, NONE).total - flying.get(each, NONE).total - _total(told.get(each)))
        for each in own.keys() | told.keys()
    }


def records_of(counts: Iterable[Count]) -> dict[str, Records]:
    """Return what the archive has read, by type: its own count of an event that it knew already is that of a copy."""
    return {each.type: Records(each.total - each.repeated, each.repeated) for each in counts}


def weigh(
    own: Told | None, told: Told, kept: Mapping[PartitionId, Kept], uncounted: Collection[PartitionId] = ()
) -> Sheet:
    """Compare what a consumer tells with what the archive holds, partition by partition and type by type.

    `uncounted`: partitions of which nobody has counted yet what the archive had before the consumer began.
    """
    owns = {place.at: place for place in own.places} if own else {}
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    differences, opened = [], []
    for place in told.places:
        if why := objection(owns.get(place.at), place) or (BEING_COUNTED if place.at in uncounted else None):
            opened.append(Open(*place.at, why))
            continue
        archived = records_of(own.counts_of(place.at).values()) if own else {}
        for entry in entries_of(archived, told.counts_of(place.at), kept.get(place.at, Kept())):
            sums[entry.type].update({name: n for name, n in asdict(entry).items() if name != "type"})
            if entry.missing or entry.twice:
                differences.append(Difference(*place.at, entry.type, entry.missing, entry.twice))
    entries = tuple(Entry(type=each, **sums[each]) for each in sorted(sums))
    return Sheet(told.consumer, entries, tuple(sorted(differences)), tuple(opened))


def entries_of(archived: ByType, told: Mapping[str, Count], kept: Kept) -> list[Entry]:
    """Compare one partition's counts by type. What is no event of any type is not archived, and not compared."""
    types = sorted((archived.keys() | told.keys() | kept.before.keys()) - {""})
    return [
        _entry(
            _of_consumer(archived.get(each, NONE) - kept.before.get(each, NONE), kept.heard_first.get(each, 0)),
            kept.flying.get(each, NONE),
            told.get(each, Count(type=each)),
        )
        for each in types
    ]


def _entry(archived: Records, flying: Records, told: Count) -> Entry:
    reached = archived - flying
    left_over = reached.total - told.total
    quiet = told.ignored + told.repeated
    # What was applied once more, after its first time was forgotten, has taken one from those that were ignored.
    off = reached.copies + max(0, -quiet)
    settled = {"ignored": max(0, quiet), "held": told.held, "parked": told.parked, "discarded": told.discarded}
    for name, count in settled.items():
        settled[name] = count - min(count, off)
        off -= min(count, off)
    return Entry(
        type=told.type,
        archived=archived.events,
        applied=told.applied,
        in_flight=flying.events,
        copies=reached.copies,
        missing=max(0, left_over),
        twice=max(0, -left_over) + off,
        **settled,
    )


def _of_consumer(archived: Records, heard_first: int) -> Records:
    return Records(archived.events + heard_first, archived.copies - heard_first)


def _total(count: Count | None) -> int:
    return count.total if count else 0
