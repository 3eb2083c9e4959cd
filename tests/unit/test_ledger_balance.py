"""What consumers count is held against the archive: all that was read adds up, and each event that does not is told."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from backbone.storage.outbox import LARGEST
from services.ledger.balance.alarms import Acceptance, Alarm, NotAsSaid, accept, broken, watch
from services.ledger.balance.decisions import (
    Count,
    Difference,
    Entry,
    Kept,
    Open,
    Place,
    Records,
    Sheet,
    Told,
    weigh,
)
from services.ledger.events import BalanceAccepted, BalanceBroken, BalanceRestored

NOW = datetime(2026, 11, 27, 18, 30, tzinfo=UTC)
AT = ("orders.events", 3)
LYING = ("parked", "held", "discarded")


class World:
    """A log, what the archive counts of it, and what a consumer does that counts as it should."""

    def __init__(self, log: list[tuple[str, int]], fates: dict[int, str], since: int, counted: int) -> None:
        self.log, self.fates, self.since, self.counted = log, fates, since, counted
        self.told = Told("loyalty", self._consumer(), (self.place(since, counted),))
        self.own = Told("ledger", self._archive(), (self.place(0, len(log)),))

    @staticmethod
    def place(since: int, counted: int) -> Place:
        return Place(topic=AT[0], partition=AT[1], since=since, counted=counted)

    def records(self, first: int, end: int) -> dict[str, Records]:
        found: dict[str, Records] = {}
        for at in range(first, end):
            kind = self.log[at][0]
            is_copy = self.log[at] in self.log[:at]
            had = found.get(kind, Records())
            found[kind] = Records(had.events + (not is_copy), had.copies + is_copy)
        return found

    def heard_first(self) -> dict[str, int]:
        """Events of which the consumer hears first by what is a copy to the archive."""
        first_heard = {event for event in self.log[self.since : self.counted] if event in self.log[: self.since]}
        return Counter(kind for kind, _ in first_heard)

    def kept(self) -> Kept:
        return Kept(self.records(0, self.since), self.records(self.counted, len(self.log)), self.heard_first())

    def sheet(self, told: Told | None = None) -> Sheet:
        return weigh(self.own, told or self.told, {AT: self.kept()})

    def _archive(self) -> tuple[Count, ...]:
        return tuple(
            Count(topic=AT[0], partition=AT[1], type=kind, applied=each.events, repeated=each.copies)
            for kind, each in self.records(0, len(self.log)).items()
        )

    def _consumer(self) -> tuple[Count, ...]:
        counts: dict[str, Counter[str]] = {}
        seen = set[tuple[str, int]]()
        for kind, number in self.log[self.since : self.counted]:
            fate = self.fates[number]
            if (kind, number) in seen:  # behind a key that is parked, even what was handled once
                fate = "held" if fate in LYING else "repeated"
            seen.add((kind, number))
            counts.setdefault(kind, Counter())[fate] += 1
        return tuple(Count(topic=AT[0], partition=AT[1], type=kind, **each) for kind, each in counts.items())


@st.composite
def worlds(draw: st.DrawFn) -> World:
    log = draw(st.lists(st.tuples(st.sampled_from(["placed", "confirmed"]), st.integers(0, 5)), max_size=14))
    fates = {number: draw(st.sampled_from(["applied", "ignored", *LYING])) for number in range(6)}
    since = draw(st.integers(0, len(log)))
    return World(log, fates, since, draw(st.integers(since, len(log))))


def adds_up(entry: Entry) -> bool:
    found = entry.applied + entry.ignored + entry.parked + entry.held + entry.discarded + entry.in_flight
    return entry.archived == found + entry.missing - entry.twice


@given(worlds())
def test_what_was_counted_as_it_should_balances_at_any_moment(world: World) -> None:
    sheet = world.sheet()
    assert sheet.differences == ()
    assert all(map(adds_up, sheet.entries))
    distinct = set(world.log[world.since : world.counted])
    read = sum(entry.archived - entry.in_flight for entry in sheet.entries)
    assert read == len(distinct)


def changed(told: Told, kind: str, **by: int) -> Told:
    counts = [
        replace(each, **{name: getattr(each, name) + n for name, n in by.items()}) if each.type == kind else each
        for each in told.counts
    ]
    return Told(told.consumer, tuple(counts), told.places)


@given(worlds(), st.data())
def test_a_record_that_nothing_became_of_is_missing(world: World, data: st.DataObject) -> None:
    counted = [
        (each.type, name) for each in world.told.counts for name in Count.__struct_fields__ if _number(each, name)
    ]
    if counted:
        kind, name = data.draw(st.sampled_from(counted))
        sheet = world.sheet(changed(world.told, kind, **{name: -1}))
        (difference,) = sheet.differences
        assert (*AT, kind, 1) == astuple(difference)[:4]
        assert all(map(adds_up, sheet.entries))


def _number(count: Count, name: str) -> bool:
    return name not in ("topic", "partition", "type") and getattr(count, name) > 0


@given(worlds(), st.data())
def test_a_record_that_is_counted_twice_is_told(world: World, data: st.DataObject) -> None:
    if world.told.counts:
        kind = data.draw(st.sampled_from([each.type for each in world.told.counts]))
        sheet = world.sheet(changed(world.told, kind, applied=1))
        (difference,) = sheet.differences
        assert difference.twice == 1
        assert all(map(adds_up, sheet.entries))


@given(worlds(), st.data())
def test_an_event_that_the_ledger_itself_has_skipped_is_there_twice_at_its_consumer(
    world: World, data: st.DataObject
) -> None:
    if world.told.counts:
        kind = data.draw(st.sampled_from([each.type for each in world.told.counts]))
        sheet = weigh(changed(world.own, kind, applied=-1), world.told, {AT: world.kept()})
        (difference,) = sheet.differences
        assert (difference.missing, difference.twice) == (0, 1)


def test_a_copy_that_has_its_effect_once_more_is_told_though_the_records_add_up() -> None:
    world = World([("placed", 0), ("placed", 0), ("placed", 1)], dict.fromkeys(range(2), "applied"), 0, 3)
    sheet = world.sheet(changed(world.told, "placed", applied=1, repeated=-1))
    assert sheet.differences == (Difference(*AT, "placed", missing=0, twice=1),)


def test_what_is_applied_again_when_its_log_is_read_again_is_told() -> None:
    world = World([("placed", 0)], {0: "applied"}, 0, 1)
    sheet = world.sheet(changed(world.told, "placed", applied=1, ignored=-1))  # as a second reading counts it
    assert sheet.differences == (Difference(*AT, "placed", missing=0, twice=1),)


def test_a_partition_is_open_while_the_archive_is_behind_or_of_another_log() -> None:
    world = World([("placed", 0)], {0: "applied"}, 0, 1)
    for place in (Place(topic=AT[0], partition=AT[1], since=0, counted=2), replace(world.place(0, 1), log="other")):
        sheet = weigh(world.own, Told("loyalty", world.told.counts, (place,)), {})
        assert [(each.topic, each.partition) for each in sheet.open] == [AT]
        assert sheet.differences == ()


def test_a_partition_is_open_and_not_short_while_a_replica_has_it_that_does_not_count() -> None:
    world = World([("placed", 0), ("placed", 1)], dict.fromkeys(range(2), "applied"), 0, 1)
    ahead = replace(world.place(0, 2), uncounted_from=1)
    for own, told in ((world.place(0, 2), ahead), (ahead, world.place(0, 2))):
        account = Told("ledger", world.own.counts, (own,))
        sheet = weigh(account, Told("loyalty", world.told.counts, (told,)), {AT: Kept()})
        assert sheet.differences == ()
        assert sheet.open[0].why.startswith("not counted since offset 1: ")


LOST = Difference(*AT, "placed", missing=1, twice=0)


def sheet_of(*differences: Difference, opened: tuple[Open, ...] = ()) -> Sheet:
    return Sheet("loyalty", (), differences, opened)


class Watched:
    """What is told over some looks, a minute after each other."""

    def __init__(self) -> None:
        self.alarm: Alarm | None = None
        self.now = NOW
        self.told: list[Any] = []

    def look(self, *differences: Difference, opened: tuple[Open, ...] = (), times: int = 1) -> list[Any]:
        """Look so many times; return what is told of it."""
        told: list[Any] = []
        for _ in range(times):
            self.now += timedelta(minutes=1)
            candidates = {("loyalty", LOST.cell): ["a", "b"]}
            decision = watch(self.alarm, sheet_of(*differences, opened=opened), candidates, self.now)
            self.alarm = decision.state
            told += decision.events
        return told

    def accept(self, missing: int, event_type: str | None = None) -> list[Any]:
        assert self.alarm
        wanted = Acceptance(type=event_type, missing=missing, twice=0, by="ada", reason="Known.")
        decision = accept(self.alarm, wanted, self.now)
        self.alarm = decision.state
        return list(decision.events)


def looks(*sheets: Sheet) -> list[Any]:
    watched = Watched()
    return [told for sheet in sheets for told in watched.look(*sheet.differences, opened=sheet.open)]


def test_only_a_difference_that_lasts_over_two_looks_raises_the_alarm_and_once() -> None:
    assert looks(sheet_of(LOST), sheet_of()) == []
    assert looks(sheet_of(LOST), sheet_of(replace(LOST, partition=4))) == []
    (broken,) = looks(sheet_of(LOST), sheet_of(LOST), sheet_of(LOST))
    assert isinstance(broken, BalanceBroken)
    (told,) = broken.differences
    assert (told.type, told.missing, told.twice, told.candidates) == ("placed", 1, 0, ("a", "b"))


def test_a_loss_that_goes_on_raises_the_alarm_with_what_is_lost_by_now() -> None:
    (broken,) = looks(sheet_of(LOST), sheet_of(replace(LOST, missing=3)))
    assert broken.differences[0].missing == 3


def test_an_alarm_about_many_types_with_the_longest_names_and_ids_is_still_an_event() -> None:
    def named(number: int) -> str:
        return f"{number:02}" + "ø" * 510

    lost = [Difference("topic", 0, named(each), missing=1, twice=0) for each in range(30)]
    ids = [named(each) for each in range(10)]
    told = broken(named(0), lost, {(named(0), each.cell): ids for each in lost})
    assert len(msgspec.json.encode(told)) <= LARGEST
    assert {len(each.candidates) for each in told.differences} == {1}
    few = broken("kitchen", lost[:2], {("kitchen", lost[0].cell): ids})
    assert [len(each.candidates) for each in few.differences] == [10, 0]


def test_the_alarm_ends_once_all_adds_up_and_not_before_it_could_be_compared() -> None:
    unknown = sheet_of(opened=(Open(*AT, "behind"),))
    told = looks(sheet_of(LOST), unknown, sheet_of(LOST), unknown, sheet_of())
    assert [type(each) for each in told] == [BalanceBroken, BalanceRestored]


OTHER = Difference(*AT, "confirmed", missing=0, twice=2)


def kinds(told: list[Any]) -> list[list[tuple[str, int, int]]]:
    return [[(each.type, each.missing, each.twice) for each in event.differences] for event in told]


def test_what_gets_worse_while_it_is_broken_is_told_again_with_all_there_is() -> None:
    watched = Watched()
    assert kinds(watched.look(LOST, times=2)) == [[("placed", 1, 0)]]
    assert watched.look(LOST, times=30) == []
    assert watched.look(LOST, OTHER) == []  # it has to last
    assert kinds(watched.look(LOST, OTHER)) == [[("confirmed", 0, 2), ("placed", 1, 0)]]
    assert watched.look(replace(LOST, missing=5), OTHER, times=1) == []
    assert watched.look(LOST, OTHER, times=60) == []


def test_a_loss_that_goes_on_is_told_more_and_more_seldom() -> None:
    watched = Watched()
    told_at = [minute for minute in range(1, 24 * 60) if watched.look(replace(LOST, missing=minute))]
    assert told_at == [2, 12, 22, 42, 82, 162, 322, 642, 1282]


def test_what_was_mended_in_part_is_told_again_when_it_gets_worse_again() -> None:
    watched = Watched()
    watched.look(replace(LOST, missing=3), times=2)
    assert watched.look(LOST, times=20) == []
    assert kinds(watched.look(replace(LOST, missing=2), times=2)) == [[("placed", 2, 0)]]


def test_what_somebody_accepts_is_no_alarm_and_what_comes_on_top_is_one() -> None:
    watched = Watched()
    watched.look(LOST, times=2)
    (accepted,) = watched.accept(missing=1)
    assert isinstance(accepted, BalanceAccepted)
    assert (accepted.by, accepted.reason, kinds([accepted])) == ("ada", "Known.", [[("placed", 1, 0)]])
    assert watched.alarm
    assert watched.alarm.broken_at is None
    assert watched.look(LOST, times=60) == []
    assert watched.alarm.left == ()
    assert kinds(watched.look(replace(LOST, missing=3), times=2)) == [[("placed", 2, 0)]]
    (restored,) = watched.look(LOST)  # as much as is accepted
    assert isinstance(restored, BalanceRestored)


def test_only_what_is_seen_can_be_accepted_and_only_the_type_that_is_named() -> None:
    watched = Watched()
    watched.look(LOST, OTHER, times=2)
    with pytest.raises(NotAsSaid, match="1 were missing and 2 there twice"):
        watched.accept(missing=1)
    with pytest.raises(NotAsSaid, match="0 were missing"):
        watched.accept(missing=0, event_type="delivered")
    watched.accept(missing=1, event_type="placed")
    assert watched.alarm
    assert watched.alarm.broken_at is not None
    assert watched.alarm.left == (OTHER,)
    assert watched.look(LOST, OTHER, times=60) == []
    assert [type(each) for each in watched.look(LOST)] == [BalanceRestored]


def test_an_accepted_difference_that_is_mended_is_an_alarm_when_it_comes_again() -> None:
    watched = Watched()
    watched.look(LOST, times=2)
    watched.accept(missing=1)
    watched.look()
    assert watched.alarm
    assert watched.alarm.accepted  # one look may err
    watched.look(opened=(Open(*AT, "behind"),), times=5)
    watched.look(LOST, times=2)
    assert watched.alarm.left == ()
    assert watched.look(times=2) == []
    assert kinds(watched.look(LOST, times=2)) == [[("placed", 1, 0)]]


def test_what_is_accepted_is_kept_while_it_cannot_be_compared() -> None:
    watched = Watched()
    watched.look(LOST, times=2)
    watched.accept(missing=1)
    assert watched.look(opened=(Open(*AT, "behind"),), times=60) == []
    assert watched.look(LOST, times=2) == []
