"""Draws who talks to whom: a circle of services around the one that talks most, an arrow for each pair."""

import math
from collections import Counter
from collections.abc import Mapping

from deployment.pages.contents import Contents, Event, Way
from deployment.pages.markup import Markup, join, tag

Point = tuple[float, float]

WIDTH, HEIGHT = 1000, 760
BOX = (112, 36)
BEND = 0.11
"""How far an arrow leans to its right, of its length: so that two of one pair lie apart."""
STYLE = """
.box{fill:var(--card,#fff);stroke:var(--line,#667);stroke-width:1.5}
.box.hears{stroke-dasharray:5 3;stroke-width:2.5}
.name,.many{font:15px system-ui,sans-serif;fill:var(--ink,#223);text-anchor:middle;dominant-baseline:central}
.many{font-size:12px;paint-order:stroke;stroke:var(--page,#fff);stroke-width:4px}
.way{fill:none;stroke:var(--line,#667);stroke-width:1.4}
.tip{fill:var(--line,#667)}
.way:hover{stroke:var(--link,#05c);stroke-width:3}
.late .way{stroke:var(--warn,#b00)}
.late .many{fill:var(--warn,#b00)}
"""


def draw(contents: Contents) -> Markup:
    """Draw the map as SVG, which stands alone or within a page."""
    places = _places(contents)
    ways = [_way(way, [contents.events[key] for key in keys], places) for way, keys in contents.edges.items()]
    boxes = [_box(name, at, hears=name in contents.hearing) for name, at in places.items()]
    tip = tag("path", d="M0,0 L8,4 L0,8 z", class_="tip")
    marker = tag(
        "marker", tip, id="tip", viewBox="0 0 8 8", refX=8, refY=4, markerWidth=8, markerHeight=8, orient="auto"
    )
    title = tag("title", "Who talks to whom", id="map-title")
    told = tag("desc", "An arrow for each pair of services; the table below says the same.", id="map-told")
    return tag(
        "svg",
        *(title, told, tag("style", Markup(STYLE)), tag("defs", marker), *ways, *boxes),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_labelledby="map-title map-told",
    )


def _places(contents: Contents) -> Mapping[str, Point]:
    partners = Counter(name for way in contents.edges for name in way)
    middle, *_ = sorted(contents.services, key=lambda name: -partners[name])
    around = [name for name in contents.services if name != middle]
    half, places = (WIDTH - BOX[0] - 8) / 2, {middle: (WIDTH / 2, HEIGHT / 2)}
    for number, name in enumerate(around):
        turn = 2 * math.pi * number / len(around) - math.pi / 2
        places[name] = (
            WIDTH / 2 + half * math.cos(turn),
            HEIGHT / 2 + (HEIGHT - BOX[1] - 8) / 2 * math.sin(turn),
        )
    return places


def _box(name: str, at: Point, *, hears: bool) -> Markup:
    x, y = at
    frame = tag(
        "rect",
        x=_round(x - BOX[0] / 2),
        y=_round(y - BOX[1] / 2),
        width=BOX[0],
        height=BOX[1],
        rx=8,
        class_="box hears" if hears else "box",
    )
    return join(frame, tag("text", name, x=_round(x), y=_round(y), class_="name"))


def _way(way: Way, events: list[Event], places: Mapping[str, Point]) -> Markup:
    (x1, y1), (x2, y2) = places[way[0]], places[way[1]]
    lean = ((x1 + x2) / 2 - (y2 - y1) * BEND, (y1 + y2) / 2 + (x2 - x1) * BEND)
    start, end = _border(places[way[0]], lean), _border(places[way[1]], lean)
    middle = tuple((start[axis] + 2 * lean[axis] + end[axis]) / 4 for axis in (0, 1))
    path = f"M{_at(start)} Q{_at(lean)} {_at(end)}"
    what = f"{way[0]} to {way[1]}: {', '.join(each.message['title'] for each in events)}"
    line = tag("path", tag("title", what), d=path, class_="way", marker_end="url(#tip)")
    count = tag("text", str(len(events)), x=_round(middle[0]), y=_round(middle[1]), class_="many", data_now="")
    types = " ".join(each.message["name"] for each in events)
    return tag("g", line, count, data_way=" ".join(way), data_types=types)


def _border(center: Point, towards: Point) -> Point:
    """Return where the line from the middle of a box leaves it."""
    dx, dy = towards[0] - center[0], towards[1] - center[1]
    part = min(BOX[0] / 2 / abs(dx) if dx else math.inf, BOX[1] / 2 / abs(dy) if dy else math.inf)
    return center[0] + dx * part, center[1] + dy * part


def _at(point: Point) -> str:
    return f"{_round(point[0])},{_round(point[1])}"


def _round(number: float) -> float:
    return round(number, 1)
