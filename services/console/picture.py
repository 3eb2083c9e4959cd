"""Draws an order's journey as SVG: what was told as dots, outbox, topic and handler each in a shape of its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import htpy as h
from htpy import Node
from markupsafe import Markup, escape

from services.console import elements
from services.console.lanes import HANDLER, OUTBOX, TOPIC, WIDTH, Bar, Drawing, draw, title
from services.console.wording import short, when

_NAMES, _TOP, _LANE, _EDGE = 130, 26, 30, 14
_HEIGHTS = {OUTBOX: 4, TOPIC: 8, HANDLER: 14}
"""A kind is told by its height as well as by its colour."""
_LEAST = 1.5
"""How wide a bar is at least, or nobody would see it."""
MOST_TOLD = 400
"""Bars of which each says by itself what it is."""
_SAID = 40.0
"""How much room a silence needs for saying how long it was."""
LEGEND = ((OUTBOX, "waits in the outbox"), (TOPIC, "waits in the topic"), (HANDLER, "is handled"))


def picture(steps: Sequence[Mapping[str, Any]]) -> Node:
    """Draw a journey. It is hidden from screen readers: the list of events tells the same in words."""
    drawing = draw(steps)
    width, height = _NAMES + WIDTH + _EDGE, _TOP + _LANE * len(drawing.lanes) + 4
    # Written as text: an order of 500 events has some thousand shapes.
    svg = (
        f'<svg class="lanes" viewBox="0 0 {width:g} {height}" width="{width:g}" height="{height}" aria-hidden="true">'
        f"{''.join(_shapes(drawing, steps))}</svg>"
    )
    return h.figure(".journey")[
        h.div(".scroll", tabindex="0", role="region", aria_label="The journey in lanes")[Markup(svg)],  # noqa: S704  escaped
        h.figcaption[
            [[Markup(_key(kind)), " ", text, "  "] for kind, text in LEGEND],  # noqa: S704  our own
            "● is told. Silences are cut.",
        ],
    ]


def _shapes(drawing: Drawing, steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    bottom = _TOP + _LANE * len(drawing.lanes)
    for each in drawing.silences:
        left, wide = _x(each.left), each.right - each.left
        said = elements.seconds(each.seconds)
        yield f'<rect class="silence" x="{left:g}" y="{_TOP}" width="{wide:g}" height="{bottom - _TOP}">'
        yield f"<title>Nothing for {said}</title></rect>"
        if len(drawing.silences) * _SAID < WIDTH:  # where there are many, hovering tells
            yield f'<text class="said" x="{left + wide / 2:g}" y="{_TOP - 8}">{said}</text>'
    yield f'<text class="said begin" x="{_NAMES}" y="{_TOP - 8}">{when(steps[0]["time"]):%H:%M:%S} UTC</text>'
    for number, lane in enumerate(drawing.lanes):
        y = _middle(number)
        yield f'<line class="lane" x1="{_NAMES}" x2="{_NAMES + WIDTH:g}" y1="{y}" y2="{y}"/>'
        yield f'<text x="4" y="{y + 5}">{escape(lane)}</text>'
    for start, end in drawing.arrows:
        if start.lane != end.lane:
            yield f'<path class="cause" d="M{_x(start.x):g} {_middle(start.lane)}L{_x(end.x):g} {_middle(end.lane)}"/>'
    yield from _bars(drawing, steps)
    for dot in drawing.dots:
        step = steps[dot.step]
        said = escape(f"{short(step['type'])}: {step['sentence']}")
        yield (
            f'<a href="#e-{escape(step["event"])}" tabindex="-1"><circle cx="{_x(dot.x):g}" '
            f'cy="{_middle(dot.lane)}" r="4.5"><title>{said}</title></circle></a>'
        )


def _bars(drawing: Drawing, steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Draw what waited and what was handled; each says what it is, unless there are too many to point at one."""
    if len(drawing.bars) <= MOST_TOLD:
        for bar in drawing.bars:
            said = escape(title(steps, bar))
            yield f'<path class="{bar.kind}" d="{_box(bar)}"><title>{said}</title></path>'
        return
    for kind in _HEIGHTS:
        yield f'<path class="{kind}" d="{"".join(_box(bar) for bar in drawing.bars if bar.kind == kind)}"/>'


def _box(bar: Bar) -> str:
    height, wide = _HEIGHTS[bar.kind], max(_LEAST, bar.right - bar.left)
    return f"M{_x(bar.left):g} {_middle(bar.lane) - height // 2}h{wide:.1f}v{height}h-{wide:.1f}z"


def _key(kind: str) -> str:
    height = _HEIGHTS[kind]
    shape = f'<rect class="{kind}" x="1" y="{7 - height / 2:g}" width="20" height="{height}"/>'
    return f'<svg class="lanes" width="22" height="14" aria-hidden="true">{shape}</svg>'


def _x(place: float) -> float:
    return round(_NAMES + place, 1)


def _middle(lane: int) -> int:
    return _TOP + _LANE * lane + _LANE // 2
