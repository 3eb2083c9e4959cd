"""Decides which alerts a new level begins and ends, given the active ones, and what is told of it.

What an event says about the level before it plays no part: only what alerts itself has raised counts. After it has
told of a SKU and a kind, it keeps quiet about the same for a while, and then says how often it happened again.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from backbone.decision import Decision, Start
from backbone.events.payload import Payload
from services.alerts.events import Kind, SkuRetired, StockAlertCleared, StockAlertRaised, StockLevelChanged

FEW = 3
"""Pieces: the least that stock has to move back over a line before that counts. Orders come and go by one or two."""
KINDS: tuple[Kind, ...] = ("low", "out", "over")
QUIET = "quiet"
"""The job that ends the quiet time after an alert."""
Fact = StockLevelChanged | SkuRetired
Told = tuple[StockAlertCleared | StockAlertRaised, ...]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Holds the newest alert of one kind about one SKU, as it was when it was raised.

    Once it is cleared, `available` is what was there then.
    """

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


Alerts = Mapping[Kind, Alert]
"""All alerts about one SKU, active or past."""


class Crossing(msgspec.Struct, frozen=True):
    """Holds the kinds of alerts that begin and those that end."""

    raised: frozenset[Kind]
    cleared: frozenset[Kind]


def follow(alerts: Alerts | None, level: StockLevelChanged, now: datetime) -> Decision[Alerts]:
    """Begin and end the alerts that a SKU's new level calls for, and keep quiet after each that is told."""
    before = alerts or {}
    crossing = judge({alert.kind for alert in before.values() if alert.active}, level)
    after = {**before, **_alerts_of(before, crossing, level, now)}
    told = _told_of(before, after, crossing, level)
    raised = (each.kind for each in told if isinstance(each, StockAlertRaised))
    # Due at once: the job itself knows how long, and settles on the time.
    return Decision(after, told, start=tuple(_quiet(level.sku, kind) for kind in raised))


def retired(alerts: Alerts | None, _: SkuRetired, now: datetime) -> Decision[Alerts]:
    """End all alerts about a SKU that is not kept any more: it lacks nothing now."""
    before = alerts or {}
    ended = _ended([alert for alert in before.values() if alert.active], 0, now)
    return Decision({**before, **ended}, _told_to_be_over(before, ended.keys(), 0))


FACTS: Mapping[type[Payload], Callable[[Alerts | None, Any, datetime], Decision[Alerts]]] = {
    StockLevelChanged: follow,
    SkuRetired: retired,
}
"""What happens on which event."""


def judge(active: Set[Kind], level: StockLevelChanged) -> Crossing:
    """Judge which alerts the level begins and which it ends.

    One that is active does not begin again, and lingers within the margin. While out lingers low
    does not begin: the shop knows of worse.
    """
    holds = active & _holds(level)
    begins = _begins(level) - ({"low"} if "out" in holds else set())
    return Crossing(raised=begins - active, cleared=frozenset(active) - begins - holds)


def end_quiet(alert: Alert, quiet: timedelta, now: datetime) -> Decision[Alert]:
    """End the quiet time since the alert was told, if it is over, and tell what was held back.

    An alert that is over by then is told as raised and cleared: it happened. Whatever is told begins a new quiet time.
    """
    if alert.quiet_since is None:
        return Decision(alert)
    if now < alert.quiet_since + quiet:
        return Decision(alert, start=(_quiet(alert.sku, alert.kind, alert.quiet_since + quiet),))
    if not alert.held:
        return Decision(replace(alert, quiet_since=None))
    over = () if alert.active else (StockAlertCleared(sku=alert.sku, kind=alert.kind, available=alert.available),)
    return Decision(
        replace(alert, quiet_since=now, held=0),
        (_told_again(alert), *over),
        start=(_quiet(alert.sku, alert.kind, now + quiet),),
    )


def margin(line: int) -> int:
    """Return how many pieces from a line stock has to be before its alert ends.

    That is a tenth of the line, rounded up, and FEW at least.
    """
    return max(FEW, -(-line // 10))


def low_clears_at(threshold: int) -> int:
    """Return the stock at which low ends, above the threshold.

    With the margin 100 and 101 do not take turns in the mail.
    """
    return threshold + margin(threshold)


def over_clears_at(ceiling: int) -> int:
    """Return the stock at which over ends, under the ceiling.

    With the margin 100 and 101 do not take turns in the mail.
    """
    return max(0, ceiling - margin(ceiling))


def _quiet(sku: str, kind: Kind, due: datetime | None = None) -> Start:
    return Start(QUIET, f"{sku} {kind}", {"sku": sku, "kind": kind}, due)


def _alerts_of(alerts: Alerts, crossing: Crossing, level: StockLevelChanged, now: datetime) -> dict[Kind, Alert]:
    ended = _ended([alerts[kind] for kind in crossing.cleared], level.after.available, now)
    return ended | {kind: _begun(alerts.get(kind), kind, level, now) for kind in crossing.raised}


def _ended(active: Iterable[Alert], available: int, now: datetime) -> dict[Kind, Alert]:
    return {each.kind: replace(each, active=False, available=available, cleared_at=now) for each in active}


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
    raised = (kind for kind in sorted(crossing.raised) if not after[kind].held)
    over = _told_to_be_over(before, crossing.cleared, level.after.available)
    return *over, *(_raised(kind, level) for kind in raised)


def _told_to_be_over(before: Alerts, cleared: Set[Kind], available: int) -> tuple[StockAlertCleared, ...]:
    """Tell which alerts have ended; what was held back is not told to be over either."""
    ended = (before[kind] for kind in sorted(cleared))
    return tuple(
        StockAlertCleared(sku=each.sku, kind=each.kind, available=available) for each in ended if not each.held
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
    """Return the kinds of alerts that a level begins.

    A fall through the threshold straight to nothing is out and not low as well: one mail, not two.
    """
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
    """Return the kinds that stay active once they have begun, though they would not begin now."""
    available = level.after.available
    within: dict[Kind, bool] = {
        "low": available < low_clears_at(level.threshold),
        "out": available < FEW,
        "over": available > over_clears_at(level.ceiling),
    }
    return frozenset(kind for kind, holds in within.items() if holds)
