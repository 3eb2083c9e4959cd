"""Makes the balance sheet: asks every service what it handled, and holds it against what the archive has."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.consuming import counting
from backbone.context import Context
from backbone.decision import Decision
from backbone.events.topics import PartitionId
from backbone.jobs.work import Done, Job
from backbone.observing.logs import logger
from backbone.storage.database import Database, Tx
from services.ledger.asking import services_of
from services.ledger.balance import alarms, decisions, store
from services.ledger.balance.alarms import Accepted, Alarm, beyond
from services.ledger.balance.decisions import Kept, Place, Records, Sheet, Told
from services.ledger.balance.store import Opening, Span
from services.ledger.remembered import Remembered
from services.ledger.settings import Settings

BALANCE = "balance"
"""The first one is scheduled by the migration that makes its tables."""
EVERY = timedelta(minutes=1)
OWN = "ledger"
SPELL = 20.0
"""Seconds after which a look counts no further opening; what it has counted is kept."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Look(msgspec.Struct, frozen=True):
    """Holds what was found at one moment."""

    at: datetime
    sheets: tuple[Sheet, ...]
    silent: tuple[str, ...]
    """Services that do not answer."""
    openings: tuple[Opening, ...]
    """Those that are new, or now balance up to a later offset."""
    candidates: decisions.Candidates
    accepted: Mapping[str, tuple[Accepted, ...]]
    """What somebody has accepted, by consumer."""


class _Part(msgspec.Struct, frozen=True):
    """Is a consumer's part in one partition that can be compared, beside the archive's own."""

    told: Told
    place: Place
    own: Place

    @property
    def at(self) -> tuple[str, PartitionId]:
        return self.told.consumer, self.place.at

    @property
    def since(self) -> str:
        """Name the two beginnings: the consumer's and the archive's, of this log."""
        return f"{self.place.log} {self.place.since} {self.own.since}"

    @property
    def flying(self) -> Span:
        """The records that the archive has and the consumer has not reached."""
        return self._span(max(self.place.counted, self.place.since or 0), self.own.counted)

    @property
    def counted(self) -> Span:
        """The records that both have."""
        return self._span(self.place.since or 0, self.place.counted)

    @property
    def before(self) -> Span:
        """The records that the archive has from before the consumer began."""
        return self._span(self.own.since or 0, self.place.since or 0)

    def _span(self, first: int, end: int) -> Span:
        return Span(*self.place.at, first, end, self.own.since_at or BEGINNING, self.own.log)


async def look(context: Context[Settings]) -> Look:
    """Ask all services, then the archive, which is further on by then, and compare them."""
    answers = await context.client(services_of).get_each("/handled")
    told = {name: decisions.read_told(answer) for name, answer in answers.items() if name != OWN}
    heard = [each for several in told.values() for each in several or ()]
    silent = tuple(sorted(name for name, several in told.items() if several is None))
    return await compare(context.database, heard, silent, context.database.now())


def last_look(context: Context[Settings]) -> Remembered[Look]:
    """Make what remembers the last look: `context.client(last_look)` is a process's only one."""
    return Remembered(lambda: look(context))


async def compare(database: Database, heard: Sequence[Told], silent: tuple[str, ...], now: datetime) -> Look:
    """Compare what consumers tell with what the archive has by now."""
    own = await own_account(database)
    parts = _parts(own, heard)
    known = await store.find_openings(database)
    flying = await _counted(database, [part for part in parts if _reaches(part.flying)], lambda part: part.flying)
    openings = await _openings(database, own, parts, known, flying)
    uncounted = {part.at for part in parts} - openings.keys()
    parts = [part for part in parts if part.at in openings]
    sheets = _weighed(own, heard, openings, flying, uncounted)
    if doubtful := _twice(parts, sheets):
        firsts = await store.count_new(database, [part.counted for part in doubtful])
        for part, first in zip(doubtful, firsts, strict=True):
            openings[part.at] = _hearing(openings[part.at], first)
        sheets = _weighed(own, heard, openings, flying, uncounted)
    accepted = {each.consumer: each.accepted for each in (await store.find_alarms(database)).values()}
    left = [replace(each, differences=beyond(each.differences, accepted.get(each.consumer, ()))) for each in sheets]
    changed = _moved(parts, left, openings, known)
    candidates = await _candidates(database, parts, left, openings)
    return Look(now, sheets, silent, changed, candidates, accepted)


def _weighed(
    own: Told | None,
    heard: Iterable[Told],
    openings: Mapping[tuple[str, PartitionId], Opening],
    flying: Mapping[tuple[str, PartitionId], dict[str, Records]],
    uncounted: Collection[tuple[str, PartitionId]],
) -> tuple[Sheet, ...]:
    kept = {at: Kept(each.counts, flying.get(at, {}), each.heard_first) for at, each in openings.items()}
    return tuple(
        decisions.weigh(
            own,
            told,
            {at: each for (consumer, at), each in kept.items() if consumer == told.consumer},
            {at for consumer, at in uncounted if consumer == told.consumer},
        )
        for told in heard
    )


def _hearing(opening: Opening, first: Mapping[str, int]) -> Opening:
    """Note how many events a consumer heard first by copies; copies are forgotten one day, and this is not."""
    known = opening.heard_first
    return replace(opening, heard_first=known | {each: max(count, known.get(each, 0)) for each, count in first.items()})


def _twice(parts: Iterable[_Part], sheets: Iterable[Sheet]) -> list[_Part]:
    """Return the parts in which events seem to be there twice: some of them may be new to the consumer."""
    wrong = {(sheet.consumer, each.at) for sheet in sheets for each in sheet.differences if each.twice}
    return [part for part in parts if part.at in wrong]


async def own_account(database: Database) -> Told | None:
    """Return what the archive itself has read."""
    told = decisions.read_told({"consumers": msgspec.to_builtins(await counting.look(database))}) or []
    return next((each for each in told if each.consumer == OWN), None)


def _parts(own: Told | None, heard: Iterable[Told]) -> list[_Part]:
    owns = {place.at: place for place in own.places} if own else {}
    return [
        _Part(told, place, owns[place.at])
        for told in heard
        for place in told.places
        if decisions.objection(owns.get(place.at), place) is None
    ]


def _reaches(span: Span) -> bool:
    return span.first < span.next


async def _counted(
    database: Database, parts: Sequence[_Part], span_of: Any
) -> dict[tuple[str, PartitionId], dict[str, Records]]:
    counts = await store.count(database, [span_of(part) for part in parts])
    return {part.at: count for part, count in zip(parts, counts, strict=True)}


async def _openings(
    database: Database,
    own: Told | None,
    parts: Sequence[_Part],
    known: Mapping[tuple[str, PartitionId], Opening],
    flying: Mapping[tuple[str, PartitionId], dict[str, Records]],
) -> dict[tuple[str, PartitionId], Opening]:
    """Return each part's opening; one that is not known yet is counted once, while the archive still has it all.

    That may take long. After a spell what is left is for the next look, and has no opening yet.
    """
    openings = {part.at: known[part.at] for part in parts if part.at in known and known[part.at].since == part.since}
    new = [part for part in parts if part.at not in openings]
    until = time.monotonic() + SPELL
    for part in new:
        if time.monotonic() > until:
            break
        (counts,) = await store.count(database, [part.before])
        if own and (part.place.since or 0) < (part.own.since or 0):
            archived = decisions.records_of(own.counts_of(part.place.at).values())
            counts = decisions.taken_as_given(archived, part.told.counts_of(part.place.at), flying.get(part.at, {}))
        consumer, (topic, partition) = part.at
        openings[part.at] = Opening(
            consumer=consumer,
            topic=topic,
            partition=partition,
            since=part.since,
            counts=counts,
            heard_first={},
            balanced_offset=part.place.since or 0,
        )
    return openings


def _moved(
    parts: Sequence[_Part],
    sheets: Sequence[Sheet],
    openings: Mapping[tuple[str, PartitionId], Opening],
    known: Mapping[tuple[str, PartitionId], Opening],
) -> tuple[Opening, ...]:
    """Return the openings to write: a part that balances, or is accepted, does so up to where its consumer is."""
    wrong = {(sheet.consumer, each.at) for sheet in sheets for each in sheet.differences}
    now = [
        openings[part.at] if part.at in wrong else replace(openings[part.at], balanced_offset=part.place.counted)
        for part in parts
    ]
    return tuple(each for each in now if known.get(each.at) != each)


async def _candidates(
    database: Database,
    parts: Sequence[_Part],
    sheets: Sequence[Sheet],
    openings: Mapping[tuple[str, PartitionId], Opening],
) -> decisions.Candidates:
    """Name events that have come since it balanced last, of what does not balance now."""
    found: dict[tuple[str, decisions.Cell], list[str]] = {}
    by_place = {part.at: part for part in parts}
    for sheet in sheets:
        for each in sheet.differences:
            part = by_place[sheet.consumer, each.at]
            first, after = openings[part.at].balanced_offset, part.own.since_at or BEGINNING
            most = alarms.MOST_CANDIDATES
            found[part.told.consumer, each.cell] = await store.candidates(database, each, first, after, most)
    return found


async def run(_: Job, context: Context[Settings]) -> Look:
    """Look whether all adds up."""
    found = await look(context)
    context.client(last_look).note(found)
    return found


async def settle(done: Sequence[Done], tx: Tx) -> None:
    """Write what was found, raise or end alarms, and look again in a minute."""
    for each in done:
        found: Look = each.outcome
        await store.save_openings(tx, found.openings)
        await store.note_silences(tx, found.silent)
        known = await store.lock_alarms(tx)
        decided = [alarms.watch(known.get(sheet.consumer), sheet, found.candidates, found.at) for sheet in found.sheets]
        await store.save_alarms(tx, [decision.state for decision in decided])
        for decision in decided:
            tx.apply(decision, key=decision.state.consumer, cause=each.cause)
            _tell(decision)
        tx.schedule(BALANCE, each.job.key, due=tx.now + EVERY, cause=each.cause)


def _tell(decision: Decision[Alarm]) -> None:
    for event in decision.events:
        logger.warning(
            "a consumer's balance has changed",
            action="balance-broken" if decision.state.broken_at else "balance-restored",
            consumer=decision.state.consumer,
            said=str(event),
        )


async def differences(database: Database) -> dict[str, float]:
    """Count by consumer the events that were missing or twice at the last look, and are not accepted: the gauge."""
    found = await store.find_alarms(database)
    return {name: sum(each.missing + each.twice for each in alarm.left) for name, alarm in found.items()}


async def silences(database: Database) -> dict[str, float]:
    """Tell by service how long it has not answered, of those that did not at the last look: the gauge."""
    now = database.now()
    return {name: (now - since).total_seconds() for name, since in (await store.find_silences(database)).items()}
