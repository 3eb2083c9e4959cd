"""Lays out an order's journey in lanes, one for each service: when events were told, and where they waited.

Pure: the steps of a journey go in, places in a drawing come out. Long silences are cut, or all that happens in
milliseconds would vanish between a kitchen's minutes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from services.console.wording import service_of, short, when

OUTBOX, TOPIC, HANDLER = "outbox", "topic", "handler"
WIDTH = 1000.0
"""How wide all of time is drawn."""
CUT = 24.0
"""How wide a silence is drawn that is cut."""
MOST_OF_CUTS = 0.35
"""The part of the width that silences take together at most."""
SILENCE = 1.0
"""For how many seconds nothing has to happen for a silence to be cut."""
Moment = float
"""Seconds since 1970: there are thousands in a drawing."""


class Bar(NamedTuple):
    """Is a wait or a work: in whose lane, what kind of, of which event, from where to where, and for how long."""

    lane: int
    kind: str
    step: int
    left: float
    right: float
    ms: float


class Dot(NamedTuple):
    """Is the moment at which an event was told, in its service's lane."""

    lane: int
    step: int
    x: float


class Arrow(NamedTuple):
    """Leads from an event to one that came of it."""

    start: Dot
    end: Dot


class Silence(NamedTuple):
    """Is a time in which nothing happened, drawn shorter than it was."""

    left: float
    right: float
    seconds: float


class Drawing(NamedTuple):
    """Holds all that is drawn."""

    lanes: tuple[str, ...]
    bars: tuple[Bar, ...]
    dots: tuple[Dot, ...]
    arrows: tuple[Arrow, ...]
    silences: tuple[Silence, ...]


class _Span(NamedTuple):
    service: str
    kind: str
    step: int
    begin: Moment
    end: Moment


def draw(steps: Sequence[Mapping[str, Any]]) -> Drawing:
    """Lay a journey out."""
    spans = [span for number, step in enumerate(steps) for span in _spans(number, step)]
    told = [(service_of(step["source"]), when(step["time"]).timestamp()) for step in steps]
    lanes = tuple(dict.fromkeys([*(service for service, _ in told), *(span.service for span in spans)]))
    rows = {service: number for number, service in enumerate(lanes)}
    scale = Scale([*((moment, moment) for _, moment in told), *((span.begin, span.end) for span in spans)])
    bars = [
        Bar(rows[each.service], each.kind, each.step, scale.at(each.begin), scale.at(each.end), _ms(each))
        for each in spans
    ]
    dots = [Dot(rows[service], number, scale.at(moment)) for number, (service, moment) in enumerate(told)]
    return Drawing(lanes, tuple(bars), tuple(dots), tuple(_arrows(steps, dots)), tuple(scale.silences))


class Scale:
    """Says where in the drawing a moment is."""

    def __init__(self, spans: Iterable[tuple[Moment, Moment]]) -> None:
        busy = _merged(spans)
        cut = min(CUT, WIDTH * MOST_OF_CUTS / (len(busy) - 1)) if len(busy) > 1 else 0.0
        room = WIDTH - cut * (len(busy) - 1)
        whole = sum((end - begin) ** 0.5 for begin, end in busy) or 1.0
        self._parts: list[tuple[Moment, Moment, float, float]] = []
        left = 0.0
        for begin, end in busy:
            right = left + room * (end - begin) ** 0.5 / whole
            self._parts.append((begin, end, left, right))
            left = right + cut

    def at(self, moment: Moment) -> float:
        """Return the place of a moment at which something went on."""
        begin, end, left, right = self._parts[bisect_left(self._parts, moment, key=lambda each: each[1])]
        part = (moment - begin) / (end - begin) if end > begin else 0.0
        return round(left + (right - left) * part, 1)

    @property
    def silences(self) -> list[Silence]:
        """Return the silences that are cut."""
        return [
            Silence(round(before[3], 1), round(after[2], 1), after[0] - before[1])
            for before, after in pairwise(self._parts)
        ]


def tree(steps: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Return the numbers of steps with how deep each stands below its causes, each right below what led to it."""
    by_id = {step["event"]: number for number, step in enumerate(steps)}
    causes = {number: by_id.get(step["causationid"] or "") for number, step in enumerate(steps)}
    children: dict[int | None, list[int]] = {}
    for number, cause in causes.items():
        children.setdefault(cause if cause != number else None, []).append(number)
    found, open_ = list[tuple[int, int]](), [(number, 0) for number in reversed(children.get(None, []))]
    while open_:
        number, depth = open_.pop()
        found.append((number, depth))
        open_ += [(child, depth + 1) for child in reversed(children.get(number, []))]
    reached = {number for number, _ in found}
    return found + [(number, 0) for number in causes if number not in reached]  # a ring has no beginning


def title(steps: Sequence[Mapping[str, Any]], bar: Bar) -> str:
    """Say what a bar is: order-placed waited 12 ms in the outbox of orders."""
    name = short(steps[bar.step]["type"])
    where = {OUTBOX: "in the outbox", TOPIC: "in the topic, and then", HANDLER: "was handled"}[bar.kind]
    return f"{name}: {where} {bar.ms:,.0f} ms"


def _spans(number: int, step: Mapping[str, Any]) -> Iterable[_Span]:
    told = when(step["time"]).timestamp()
    recorded = told + (step["in_outbox_ms"] or 0) / 1000
    if step["in_outbox_ms"]:
        yield _Span(service_of(step["source"]), OUTBOX, number, told, recorded)
    for each in step["listeners"]:
        began = recorded + (each["in_topic_ms"] or 0) / 1000
        if each["in_topic_ms"]:
            yield _Span(each["service"], TOPIC, number, recorded, began)
        if each["in_handler_ms"]:
            yield _Span(each["service"], HANDLER, number, began, began + each["in_handler_ms"] / 1000)


def _merged(spans: Iterable[tuple[Moment, Moment]]) -> list[tuple[Moment, Moment]]:
    """Return the times in which something went on, those together between which hardly anything lies."""
    busy: list[tuple[Moment, Moment]] = []
    for begin, end in sorted(spans):
        if busy and begin - busy[-1][1] < SILENCE:
            busy[-1] = (busy[-1][0], max(busy[-1][1], end))
        else:
            busy.append((begin, end))
    return busy


def _arrows(steps: Sequence[Mapping[str, Any]], dots: Sequence[Dot]) -> Iterable[Arrow]:
    by_id = {step["event"]: dot for step, dot in zip(steps, dots, strict=True)}
    for step, dot in zip(steps, dots, strict=True):
        cause = by_id.get(step["causationid"] or "")
        if cause is not None and cause != dot:
            yield Arrow(cause, dot)


def _ms(span: _Span) -> float:
    return (span.end - span.begin) * 1000
