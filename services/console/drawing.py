"""Lays out boxes in columns and draws the ways between them as SVG: every box and row leads somewhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import htpy as h
from htpy import Node

HEAD, ROW, GAP = 28, 22, 14
"""Heights of a box's head and of each row in it, and what is left free between two boxes."""
INSET = 10


@dataclass(frozen=True)
class Row:
    """Is a row of a box: what it says on its left and on its right, and where it leads."""

    key: str
    """By what ways find it."""
    text: str
    note: str = ""
    to: str | None = None
    kind: str = ""


@dataclass(frozen=True)
class Box:
    """Is a box with rows. Its place is known once it was stacked."""

    key: str
    title: str
    to: str | None
    rows: tuple[Row, ...] = ()
    kind: str = ""
    x: float = 0
    y: float = 0
    width: float = 0

    @property
    def height(self) -> float:
        """How high it is."""
        return HEAD + ROW * len(self.rows)

    def at_row(self, key: str) -> float:
        """Return the height of the middle of a row; without such a row that of the head's."""
        for number, each in enumerate(self.rows):
            if each.key == key:
                return self.y + HEAD + ROW * (number + 0.5)
        return self.y + HEAD / 2


@dataclass(frozen=True)
class Way:
    """Leads from a row of a box to a row of another, as (box, row)."""

    start: tuple[str, str]
    end: tuple[str, str]
    what: str
    kind: str = ""


def stack(boxes: Iterable[Box], x: float, width: float) -> list[Box]:
    """Put boxes below each other."""
    placed, y = [], 0.0
    for box in boxes:
        placed.append(replace(box, x=x, y=y, width=width))
        y += box.height + GAP
    return placed


def centred(columns: Sequence[Sequence[Box]]) -> list[Box]:
    """Move columns down so that their middles are level."""
    heights = [_height(column) for column in columns]
    drops = [(max(heights, default=0) - each) / 2 for each in heights]
    return [replace(box, y=box.y + drop) for column, drop in zip(columns, drops, strict=True) for box in column]


def halves(boxes: Sequence[Box]) -> tuple[list[Box], list[Box]]:
    """Part boxes in two columns of about the same height, in their order."""
    sides: tuple[list[Box], list[Box]] = ([], [])
    for box in boxes:
        min(sides, key=_height_of).append(box)
    return sides


def draw(label: str, boxes: Sequence[Box], ways: Iterable[Way]) -> Node:
    """Draw boxes, and the ways between them beneath."""
    known = {box.key: box for box in boxes}
    width = max((box.x + box.width for box in boxes), default=0)
    size = f"-1 -1 {width + 2:.0f} {_height(boxes) + 2:.0f}"
    return h.svg(".chart", viewBox=size, role="group", aria_label=label)[
        (_way(each, known) for each in ways if each.start[0] in known and each.end[0] in known),
        (_box(each) for each in boxes),
    ]


def _height(boxes: Sequence[Box]) -> float:
    return max((box.y + box.height for box in boxes), default=0)


def _height_of(boxes: Sequence[Box]) -> float:
    return sum(box.height + GAP for box in boxes)


def _way(way: Way, known: Mapping[str, Box]) -> Node:
    start, end = known[way.start[0]], known[way.end[0]]
    to_right = start.x < end.x
    x1, x2 = (start.x + start.width, end.x) if to_right else (start.x, end.x + end.width)
    y1, y2 = start.at_row(way.start[1]), end.at_row(way.end[1])
    middle = (x1 + x2) / 2
    path = f"M{x1:.0f},{y1:.0f} C{middle:.0f},{y1:.0f} {middle:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
    return h.path(class_=f"way {way.kind}".strip(), d=path)[h.title[way.what]]


def _box(box: Box) -> Node:
    return h.g(id=f"box-{box.key}", class_=f"box {box.kind}".strip())[
        h.rect(x=f"{box.x:.0f}", y=f"{box.y:.0f}", width=f"{box.width:.0f}", height=f"{box.height:.0f}", rx="8"),
        _linked(box.to, h.text(".name", x=f"{box.x + INSET:.0f}", y=f"{box.y + HEAD / 2:.0f}")[box.title]),
        (_row(box, each) for each in box.rows),
    ]


def _row(box: Box, row: Row) -> Node:
    y = f"{box.at_row(row.key):.0f}"
    return _linked(
        row.to,
        h.text(x=f"{box.x + INSET:.0f}", y=y)[row.text],
        h.text(class_=f"note {row.kind}".strip(), x=f"{box.x + box.width - INSET:.0f}", y=y)[row.note],
    )


def _linked(to: str | None, *parts: Node) -> Node:
    return h.a(href=to)[parts] if to else parts
