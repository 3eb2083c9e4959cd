"""Which alerts begin and which end, given those that are active and a new level.

What an event says about the level before it plays no part: only what alerts itself has raised counts.
"""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

import msgspec
from msgspec.structs import replace

from services.alerts.events import Kind, StockAlertCleared, StockAlertRaised, StockLevelChanged

KINDS: tuple[Kind, ...] = ("low", "out", "over")
Told = tuple[StockAlertCleared | StockAlertRaised, ...]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The newest alert of one kind about one SKU, as it was when raised; `available` also as it was when cleared."""

    sku: str
    kind: Kind
    active: bool
    available: int
    threshold: int
    ceiling: int
    channel: str
    raised_at: datetime
    cleared_at: datetime | None


Alerts = Mapping[tuple[str, Kind], Alert]


class Crossing(msgspec.Struct, frozen=True):
    """The alerts that begin and those that end."""

    raised: frozenset[Kind]
    cleared: frozenset[Kind]


def follow(alerts: Alerts, levels: Iterable[StockLevelChanged], now: datetime) -> tuple[Alerts, list[Told]]:
    """The alerts after all levels in their order, and what is told of each."""
    after = dict(alerts)
    told: list[Told] = []
    for level in levels:
        active = {kind for kind in KINDS if (alert := after.get((level.sku, kind))) and alert.active}
        crossing = judge(active, level)
        after |= _alerts_of(after, crossing, level, now)
        told.append(_told_of(crossing, level))
    return after, told


def judge(active: Set[Kind], level: StockLevelChanged) -> Crossing:
    """What the level begins and ends. What is active already does not begin again, and low lingers."""
    begins = _begins(level)
    return Crossing(raised=begins - active, cleared=frozenset(active) - begins - _holds(level))


def low_clears_at(threshold: int) -> int:
    """A tenth above the threshold, rounded up, so that 100 and 101 do not take turns in the mail."""
    return -(-threshold * 11 // 10)


def _alerts_of(alerts: Alerts, crossing: Crossing, level: StockLevelChanged, now: datetime) -> Alerts:
    cleared = (alerts[level.sku, kind] for kind in crossing.cleared)
    ended = [replace(each, active=False, available=level.after.available, cleared_at=now) for each in cleared]
    begun = [_begun(kind, level, now) for kind in crossing.raised]
    return {(alert.sku, alert.kind): alert for alert in (*ended, *begun)}


def _begun(kind: Kind, level: StockLevelChanged, now: datetime) -> Alert:
    return Alert(
        sku=level.sku,
        kind=kind,
        active=True,
        available=level.after.available,
        threshold=level.threshold,
        ceiling=level.ceiling,
        channel=level.channel,
        raised_at=now,
        cleared_at=None,
    )


def _told_of(crossing: Crossing, level: StockLevelChanged) -> Told:
    available = level.after.available
    cleared = [StockAlertCleared(sku=level.sku, kind=kind, available=available) for kind in sorted(crossing.cleared)]
    return (*cleared, *(_raised(kind, level) for kind in sorted(crossing.raised)))


def _raised(kind: Kind, level: StockLevelChanged) -> StockAlertRaised:
    return StockAlertRaised(
        sku=level.sku,
        kind=kind,
        available=level.after.available,
        threshold=level.threshold,
        ceiling=level.ceiling,
        channel=level.channel,
    )


def _begins(level: StockLevelChanged) -> frozenset[Kind]:
    """A fall through the threshold straight to nothing is out and not low as well: one mail, not two."""
    available = level.after.available
    kinds: set[Kind] = set()
    if available <= 0:
        kinds.add("out")
    elif available <= level.threshold:
        kinds.add("low")
    if available > level.ceiling:
        kinds.add("over")
    return frozenset(kinds)


def _holds(level: StockLevelChanged) -> frozenset[Kind]:
    """What stays active once it has begun, though it would not begin now."""
    return frozenset({"low"} if level.after.available < low_clears_at(level.threshold) else ())
