"""Which alerts begin and which end, given those that are active and a new level, and which of that is told.

What an event says about the level before it plays no part: only what alerts itself has raised counts. After it has
told of a SKU and a kind, it keeps quiet about the same for a while, and then says how often it happened again.
"""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from services.alerts.events import Kind, StockAlertCleared, StockAlertRaised, StockLevelChanged

FEW = 3
"""Pieces: the least that stock has to move back over a line before that counts. Orders come and go by one or two."""
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
    raised_available: int | None = None
    quiet_since: datetime | None = None
    """When it was told last, as long as it is not told again; a new crossing is only counted, in `held`."""
    held: int = 0


Name = tuple[str, Kind]
Alerts = Mapping[Name, Alert]


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
        before, after = after, after | _alerts_of(after, crossing, level, now)
        told.append(_told_of(before, after, crossing, level))
    return after, told


def judge(active: Set[Kind], level: StockLevelChanged) -> Crossing:
    """What the level begins and ends. What is active already does not begin again, and lingers within the margin.

    While out lingers low does not begin: the shop knows of worse.
    """
    holds = active & _holds(level)
    begins = _begins(level) - ({"low"} if "out" in holds else set())
    return Crossing(raised=begins - active, cleared=frozenset(active) - begins - holds)


def end_quiet(alert: Alert, quiet: timedelta, now: datetime) -> tuple[Alert, Told]:
    """The alert once the quiet time since it was told may be over, and what is to be told of what was held back.

    An alert that is over by then is told as raised and cleared: it happened. Whatever is told begins a new quiet time.
    """
    if alert.quiet_since is None or now < alert.quiet_since + quiet:
        return alert, ()
    if not alert.held:
        return replace(alert, quiet_since=None), ()
    over = () if alert.active else (StockAlertCleared(sku=alert.sku, kind=alert.kind, available=alert.available),)
    return replace(alert, quiet_since=now, held=0), (_told_again(alert), *over)


def margin(line: int) -> int:
    """How far from a line stock has to be before its alert ends: a tenth of it, rounded up, and FEW at least."""
    return max(FEW, -(-line // 10))


def low_clears_at(threshold: int) -> int:
    """So far above the threshold that 100 and 101 do not take turns in the mail."""
    return threshold + margin(threshold)


def over_clears_at(ceiling: int) -> int:
    """So far under the ceiling that 100 and 101 do not take turns in the mail."""
    return max(0, ceiling - margin(ceiling))


def _alerts_of(alerts: Alerts, crossing: Crossing, level: StockLevelChanged, now: datetime) -> dict[Name, Alert]:
    cleared = (alerts[level.sku, kind] for kind in crossing.cleared)
    ended = [replace(each, active=False, available=level.after.available, cleared_at=now) for each in cleared]
    begun = [_begun(alerts.get((level.sku, kind)), kind, level, now) for kind in crossing.raised]
    return {(alert.sku, alert.kind): alert for alert in (*ended, *begun)}


def _begun(earlier: Alert | None, kind: Kind, level: StockLevelChanged, now: datetime) -> Alert:
    quiet_since = earlier.quiet_since if earlier else None
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
        raised_available=level.after.available,
        quiet_since=quiet_since or now,
        held=earlier.held + 1 if earlier and quiet_since else 0,
    )


def _told_of(before: Alerts, after: Alerts, crossing: Crossing, level: StockLevelChanged) -> Told:
    """What was held back is not told to be over either."""
    available = level.after.available
    cleared = (kind for kind in sorted(crossing.cleared) if not before[level.sku, kind].held)
    raised = (kind for kind in sorted(crossing.raised) if not after[level.sku, kind].held)
    return (
        *(StockAlertCleared(sku=level.sku, kind=kind, available=available) for kind in cleared),
        *(_raised(kind, level) for kind in raised),
    )


def _told_again(alert: Alert) -> StockAlertRaised:
    return StockAlertRaised(
        sku=alert.sku,
        kind=alert.kind,
        available=alert.available if alert.raised_available is None else alert.raised_available,
        threshold=alert.threshold,
        ceiling=alert.ceiling,
        channel=alert.channel,
        times=alert.held,
    )


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
    available = level.after.available
    within: dict[Kind, bool] = {
        "low": available < low_clears_at(level.threshold),
        "out": available < FEW,
        "over": available > over_clears_at(level.ceiling),
    }
    return frozenset(kind for kind, holds in within.items() if holds)
