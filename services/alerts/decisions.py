"""Which alerts begin and which end, given those that are active and a new level.

What an event says about the level before it plays no part: only what alerts itself has raised counts.
"""

from collections.abc import Set

import msgspec

from services.alerts.events import Kind, StockLevelChanged


class Crossing(msgspec.Struct, frozen=True):
    """The alerts that begin and those that end."""

    raised: frozenset[Kind]
    cleared: frozenset[Kind]


def judge(active: Set[Kind], level: StockLevelChanged) -> Crossing:
    """What the level begins and ends. What is active already does not begin again, and low lingers."""
    begins = _begins(level)
    return Crossing(raised=begins - active, cleared=frozenset(active) - begins - _holds(level))


def low_clears_at(threshold: int) -> int:
    """A tenth above the threshold, rounded up, so that 100 and 101 do not take turns in the mail."""
    return -(-threshold * 11 // 10)


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
