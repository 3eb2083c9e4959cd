"""Decides in pure functions when a consumer's differences are told, told again, accepted, and over.

A difference counts once it was there at two looks, and only as far as nobody has accepted it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Refusal
from backbone.events.payload import Payload
from backbone.events.topics import PartitionId
from services.ledger.balance.decisions import Candidates, Cell, Difference, Sheet
from services.ledger.events import AcceptedDifference, BalanceAccepted, BalanceBroken, BalanceRestored, Unbalanced

MOST_CANDIDATES = 10
MOST_TOLD = 20
"""Types that an alarm tells of."""
MOST_BYTES = 60 * 1024
"""An event of ours may have a little more, for the consumer's name."""
SOONEST, LATEST = timedelta(minutes=10), timedelta(days=1)
"""What has become worse is told again after as long as it is broken already, but not sooner than this, nor later."""


class Accepted(Difference, frozen=True, kw_only=True):
    """Is a difference that somebody has accepted."""

    by: str
    accepted_at: datetime
    reason: str


class Alarm(msgspec.Struct, frozen=True):
    """Holds what was found last about a consumer, and since when it is known to be broken.

    `told` is what of it has been told, and `accepted` what is not to be told, both as far as it is there still.
    """

    consumer: str
    seen: tuple[Difference, ...] = ()
    broken_at: datetime | None = None
    told: tuple[Difference, ...] = ()
    told_at: datetime | None = None
    accepted: tuple[Accepted, ...] = ()

    @property
    def left(self) -> tuple[Difference, ...]:
        """What was found and nobody has accepted."""
        return beyond(self.seen, self.accepted)


D = TypeVar("D", bound=Difference)


def beyond(found: Iterable[D], others: Iterable[Difference]) -> tuple[D, ...]:
    """Return by how much these differences are more than others, cell by cell."""
    known = _by_cell(others)
    return _some(
        replace(each, missing=max(0, each.missing - other.missing), twice=max(0, each.twice - other.twice))
        for each in found
        for other in (known.get(each.cell, Difference(*each.cell, 0, 0)),)
    )


def least(found: Iterable[D], others: Iterable[Difference]) -> tuple[D, ...]:
    """Return what of these differences is there in others as well, cell by cell."""
    known = _by_cell(others)
    return _some(
        replace(each, missing=min(each.missing, other.missing), twice=min(each.twice, other.twice))
        for each in found
        for other in (known.get(each.cell, Difference(*each.cell, 0, 0)),)
    )


def _by_cell(differences: Iterable[Difference]) -> Mapping[Cell, Difference]:
    return {each.cell: each for each in differences}


def _some(differences: Iterable[D]) -> tuple[D, ...]:
    return tuple(each for each in differences if each.missing or each.twice)


def watch(known: Alarm | None, sheet: Sheet, candidates: Candidates, now: datetime) -> Decision[Alarm]:
    """Raise the alarm when a difference is there at two looks, tell when it is worse, and end it when there is none.

    What cannot be compared now is as it was found last, and raises nothing.
    """
    before = known or Alarm(sheet.consumer)
    not_seen = {(each.topic, each.partition) for each in sheet.open}
    alarm = _found(before, sheet.differences, not_seen)
    lasting = least(beyond(sheet.differences, alarm.accepted), beyond(before.seen, alarm.accepted))
    if beyond(lasting, alarm.told) and may_tell(before, now):
        told = _there(alarm.left, (*lasting, *alarm.told))
        alarm = replace(alarm, broken_at=before.broken_at or now, told=told, told_at=now)
        return Decision(alarm, (broken(sheet.consumer, told, candidates),))
    if before.broken_at is not None and not alarm.left:
        return Decision(_over(alarm), (BalanceRestored(consumer=sheet.consumer),))
    return Decision(alarm)


def may_tell(alarm: Alarm, now: datetime) -> bool:
    """Say whether it is time to tell of a consumer again: the longer it is broken, the more seldom that is."""
    if alarm.broken_at is None or alarm.told_at is None:
        return True
    return now - alarm.told_at >= min(max(alarm.told_at - alarm.broken_at, SOONEST), LATEST)


def _found(before: Alarm, now: tuple[Difference, ...], not_seen: Collection[PartitionId]) -> Alarm:
    """Note what was found. What was told or accepted and is at neither look is over: it counts if it comes again."""

    def still(had: tuple[D, ...]) -> tuple[D, ...]:
        gone = least(beyond(had, now), beyond(had, before.seen))
        return beyond(had, (each for each in gone if each.at not in not_seen))

    carried = tuple(each for each in before.seen if each.at in not_seen)
    return replace(before, seen=(*now, *carried), told=still(before.told), accepted=still(before.accepted))


def _there(differences: Iterable[D], cells: Iterable[Difference]) -> tuple[D, ...]:
    known = _by_cell(cells)
    return tuple(each for each in differences if each.cell in known)


def _over(alarm: Alarm) -> Alarm:
    return replace(alarm, broken_at=None, told=(), told_at=None)


def broken(consumer: str, differences: Iterable[Difference], candidates: Candidates) -> BalanceBroken:
    """Tell of differences by type, with the ids of events of which one or more may be concerned."""
    told: dict[str, Unbalanced] = {}
    for each in differences:
        had = told.get(each.type, Unbalanced(type=each.type, missing=0, twice=0, candidates=()))
        told[each.type] = Unbalanced(
            type=each.type,
            missing=had.missing + each.missing,
            twice=had.twice + each.twice,
            candidates=(*had.candidates, *candidates.get((consumer, each.cell), ()))[:MOST_CANDIDATES],
        )
    return BalanceBroken(consumer=consumer, differences=_fitting([told[each] for each in sorted(told)][:MOST_TOLD]))


def _fitting(told: Sequence[Unbalanced]) -> tuple[Unbalanced, ...]:
    """Leave out what ids do not fit into an event beside the rest: each type has the same room for its own."""
    bare = [replace(each, candidates=()) for each in told]
    room = (MOST_BYTES - len(msgspec.json.encode(bare))) // max(1, len(told))
    return tuple(replace(each, candidates=_within(room, each.candidates)) for each in told)


def _within(room: int, ids: Sequence[str]) -> tuple[str, ...]:
    ends = accumulate(len(msgspec.json.encode(each)) + 1 for each in ids)
    return tuple(each for each, end in zip(ids, ends, strict=True) if end <= room)


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """Says what somebody accepts: a consumer's differences, all or those of a type, as many as there are said to be."""

    type: str | None = None
    missing: int
    twice: int
    by: str
    reason: str


class NotAsSaid(Refusal):
    """The last look has found something else than what is to be accepted."""


def accept(alarm: Alarm, wanted: Acceptance, now: datetime) -> Decision[Alarm]:
    """Take differences as they were found last as accepted. Raises NotAsSaid where they are not as many."""
    chosen = [each for each in alarm.left if wanted.type in (None, each.type)]
    missing, twice = sum(each.missing for each in chosen), sum(each.twice for each in chosen)
    if not chosen or (missing, twice) != (wanted.missing, wanted.twice):
        raise NotAsSaid(f"At the last look {missing} were missing and {twice} there twice. A look comes each minute.")
    cells = _by_cell(chosen)
    now_accepted = [
        Accepted(*each.cell, each.missing, each.twice, by=wanted.by, accepted_at=now, reason=wanted.reason)
        for each in alarm.seen
        if each.cell in cells
    ]
    others = [each for each in alarm.accepted if each.cell not in cells]
    alarm = replace(alarm, accepted=(*others, *now_accepted))
    alarm = replace(alarm, told=beyond(alarm.told, chosen)) if alarm.left else _over(alarm)
    return Decision(alarm, (_told_of(alarm.consumer, chosen, wanted),))


def _told_of(consumer: str, chosen: Iterable[Difference], wanted: Acceptance) -> Payload:
    sums: dict[str, AcceptedDifference] = {}
    for each in chosen:
        had = sums.get(each.type, AcceptedDifference(type=each.type, missing=0, twice=0))
        sums[each.type] = replace(had, missing=had.missing + each.missing, twice=had.twice + each.twice)
    differences = tuple(sums[each] for each in sorted(sums))[:MOST_TOLD]
    return BalanceAccepted(consumer=consumer, by=wanted.by, reason=wanted.reason, differences=differences)
