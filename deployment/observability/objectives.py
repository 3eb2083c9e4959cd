"""Says what customers may expect, as ratios of errors to all, and raises alarms by how fast what is allowed is used up.

As Google's SRE workbook has it (chapter 5, several windows and burn rates): what would use up a month's errors within
two days, or five, is told at once, and what takes the whole month on a working day. The shorter window of a pair ends
an alarm soon after its cause.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deployment.observability.alarms import PAGE, TICKET, Alarm

WINDOWS = {"5m": 300, "30m": 1800, "1h": 3600, "6h": 21_600, "3d": 259_200, "30d": 2_592_000}
"""Over what the ratios are recorded, in seconds; the last one is the period of all objectives."""
FAST, SLOW = (("1h", "5m", 14.4), ("6h", "30m", 6.0)), (("3d", "6h", 1.0),)
"""A long window, a short one, and how many times as fast as allowed: a fiftieth of the month's errors within an hour, a
twentieth within six, a tenth within three days."""
FEWEST = 5
"""Errors in the longer window without which nobody is told: of three orders in a night one is a third."""
WITHIN = 60
"""Seconds in which an order is to be confirmed; a bound of a bucket."""


@dataclass(frozen=True)
class Objective:
    """Sets which part of something has to be good. `every` and `bad` make, of a window, how much there is a second."""

    name: str
    about: str
    target: float
    every: Callable[[str], str]
    bad: Callable[[str], str]

    @property
    def allowed(self) -> float:
        """The ratio of errors that is allowed."""
        return round(1 - self.target, 6)

    def ratio(self, window: str) -> str:
        """Name the recorded ratio of errors over a window."""
        return f"sliceline:{self.name}:errors_ratio_rate{window}"


def _rate(series: str, window: str) -> str:
    return f"(sum(rate({series}[{window}])) or vector(0))"


def _placed(status: str, window: str) -> str:
    """Count orders that were answered so, with those that were turned away because there were too many."""
    answered = _rate(f'sliceline_http_requests_total{{method="POST",route="/orders",status=~"{status}"}}', window)
    return answered + " + " + _rate('sliceline_http_limited_total{limit="admission"}', window)


def _confirmed(window: str) -> str:
    return _rate('sliceline_orders_confirmed_seconds_count{backordered="no"}', window)


def _confirmed_late(window: str) -> str:
    soon = f'sliceline_orders_confirmed_seconds_bucket{{backordered="no",le="{float(WITHIN)}"}}'
    return f"{_confirmed(window)} - {_rate(soon, window)}"


OBJECTIVES = (
    Objective(
        "accepting",
        "99.9 % of the orders that customers place as they should are accepted: they neither fail nor are turned away "
        "because there are too many",
        0.999,
        every=lambda window: _placed("2..|5..", window),
        bad=lambda window: _placed("5..", window),
    ),
    Objective(
        "confirming",
        f"99 % of the orders that are confirmed, and do not wait for stock, are so within {WITHIN} seconds",
        0.99,
        every=_confirmed,
        bad=_confirmed_late,
    ),
)


def recorded() -> Iterator[Mapping[str, str]]:
    """Yield the rules that record each objective's ratios of errors."""
    for each in OBJECTIVES:
        for window in WINDOWS:
            yield {"record": each.ratio(window), "expr": f"({each.bad(window)}) / ({each.every(window)})"}


def burning() -> Iterator[Alarm]:
    """Yield two alarms for each objective: one that calls somebody, and one for a working day."""
    for each in OBJECTIVES:
        name = each.name.capitalize()
        yield _alarm(f"{name}BurnsFast", each, FAST, PAGE)
        yield _alarm(f"{name}BurnsSlowly", each, SLOW, TICKET)


def _alarm(name: str, of: Objective, pairs: Sequence[tuple[str, str, float]], severity: str) -> Alarm:
    expr = " or ".join(_burns(of, *pair) for pair in pairs)
    says = f"{of.name}: {{{{ $value | humanizePercentage }}}} went wrong, and {of.allowed:.1%} is allowed."
    return Alarm(name, expr, "2m", severity, says)


def _burns(of: Objective, long: str, short: str, times: float) -> str:
    most = f"{times:g} * {of.allowed:g}"
    many = f"({of.bad(long)}) * {WINDOWS[long]} >= {FEWEST}"
    return f"({of.ratio(long)} > {most} and {of.ratio(short)} > {most} and {many})"
