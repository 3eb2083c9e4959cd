"""Draws what is on the menu: a pizza for what is baked, a bottle, a glass or a tin for what is not.

On a pizza lies what its description names, and where that is nothing we can draw, what its id draws by lot. A picture
depends on the item alone, so that it may be kept by whoever has it. It is made of numbers that are computed here and of
the item's name, which is escaped; it has no script, no style and no link.
"""

from collections.abc import Sequence
from hashlib import sha256
from html import escape
from math import cos, pi, sin, tau

from services.orders.menu import MenuItem

_PIECES = 15
_GOLDEN = pi * (3 - 5**0.5)
"""The angle by which sunflowers turn from seed to seed: however many there are, none hides another."""
_CRUSTS = ("#d9a35b", "#c98f4a", "#e0b06c")
_TOMATO, _CHEESE = "#c8452f", "#f6d98a"
_BLANK = ("mozzarella", "gorgonzola")
"""What stands first in the description of a pizza without tomato."""

# Each is drawn around 0, 0.
_SALAMI = (
    '<circle r="7" fill="#a8321f"/><circle cx="-2" cy="-2" r="1.3" fill="#d98a72"/>'
    '<circle cx="3" cy="1" r="1.1" fill="#d98a72"/><circle cx="-1" cy="4" r="1" fill="#d98a72"/>'
)
_OLIVE = '<circle r="3.2" fill="none" stroke="#3c3a35" stroke-width="2.6"/>'
_MUSHROOM = (
    '<path d="M-7 0 A7 6.5 0 0 1 7 0 L2 0 L2.5 6 L-2.5 6 L-2 0 Z" fill="#e9dcc6" stroke="#a08b6c" stroke-width="1"/>'
)
_BASIL = '<path d="M-8 0 Q0 -7 8 0 Q0 7 -8 0 Z" fill="#4c8a3a"/><path d="M-7 0 L7 0" stroke="#2f5f25"/>'
_PEPPER = '<path d="M-6 3 A6.5 6.5 0 0 1 6 3" fill="none" stroke="#e0792b" stroke-width="3.2"/>'
_PINEAPPLE = '<path d="M-6 4 L0 -6 L6 4 Q0 7 -6 4 Z" fill="#f0c030" stroke="#c9971a" stroke-width="1"/>'
_CHILLI = '<path d="M-7 2 Q0 -6 7 -1 Q0 -1 -7 2 Z" fill="#d6281c"/><path d="M6 -1 L10 -4" stroke="#4c8a3a"/>'
_HAM = '<path d="M-6 -3 Q0 -7 6 -4 L7 3 Q0 7 -6 4 Z" fill="#e79a94" stroke="#d27e79" stroke-width="1"/>'
_GARLIC = '<path d="M-3 2 Q0 -6 3 2 Q0 4 -3 2 Z" fill="#fbf3e0" stroke="#d8c8a4" stroke-width="1"/>'
_BLUE = '<circle r="4.4" fill="#efe6cf"/><circle cx="1" cy="-1" r="1.2" fill="#7f93a8"/>'
_TOPPINGS = {
    "basil": _BASIL,
    "salami": _SALAMI,
    "mushroom": _MUSHROOM,
    "pepper": _PEPPER,
    "pineapple": _PINEAPPLE,
    "chilli": _CHILLI,
    "ham": _HAM,
    "garlic": _GARLIC,
    "olive": _OLIVE,
    "gorgonzola": _BLUE,
}


def draw(item: MenuItem) -> str:
    """Draw an item as a document of SVG."""
    seed = sha256(item.item.encode()).digest()
    title = escape(item.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120" role="img"><title>{title}</title>'
        f'<rect width="120" height="120" rx="12" fill="{_colour(seed[0], 40, 92)}"/>'
        f"{_pizza(item, seed) if item.baked else _unbaked(item, seed)}</svg>"
    )


def _pizza(item: MenuItem, seed: bytes) -> str:
    said = (item.description or "").lower()
    base = _CHEESE if said.startswith(_BLANK) else _TOMATO
    cheese = "" if "without cheese" in said else f'<circle cx="60" cy="60" r="38" fill="{_CHEESE}"/>'
    toppings = [drawn for word, drawn in _TOPPINGS.items() if word in said] or _by_lot(seed)
    return (
        f'<circle cx="60" cy="61" r="50" fill="#a9763a"/><circle cx="60" cy="60" r="50" fill="{_CRUSTS[seed[1] % 3]}"/>'
        f'{_browned(seed)}<circle cx="60" cy="60" r="42" fill="{base}"/>{cheese}{_laid(toppings, seed)}'
    )


def _by_lot(seed: bytes) -> list[str]:
    kinds = list(_TOPPINGS.values())
    return [kinds[seed[4] % len(kinds)], kinds[(seed[4] + 1 + seed[5] % (len(kinds) - 1)) % len(kinds)]]


def _browned(seed: bytes) -> str:
    """Brown the crust here and there."""
    spots = (_around(46, tau * number / 9 + seed[6 + number] / 200) for number in range(9))
    return "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="#a9763a"/>' for x, y in spots)


def _laid(toppings: Sequence[str], seed: bytes) -> str:
    """Lay toppings on a pizza, each kind in its turn, and each piece turned another way."""
    pieces = []
    for number in range(_PIECES):
        x, y = _around(35 * ((number + 0.5) / _PIECES) ** 0.5, number * _GOLDEN + seed[2] / 40)
        turned = seed[16 + number] * 360 // 256
        drawn = toppings[number % len(toppings)]
        pieces.append(f'<g transform="translate({x:.1f} {y:.1f}) rotate({turned})">{drawn}</g>')
    return "".join(pieces)


def _around(away: float, turn: float) -> tuple[float, float]:
    return 60 + away * cos(turn), 60 + away * sin(turn)


def _unbaked(item: MenuItem, seed: bytes) -> str:
    said = (item.description or "").lower()
    named = [drawn for word, drawn in _UNBAKED.items() if word in said] or list(_UNBAKED.values())
    return named[seed[3] % len(named)](seed)


def _bottle(seed: bytes) -> str:
    full = 46 + seed[1] % 12
    colour = _colour(seed[14], 65, 55)
    return (
        f'<path d="M45 {full} L75 {full} L75 104 Q75 108 71 108 L49 108 Q45 108 45 104 Z" fill="{colour}"/>'
        '<path d="M54 16 L66 16 L66 32 Q75 40 75 50 L75 104 Q75 108 71 108 L49 108 Q45 108 45 104 L45 50 Q45 40 54 32 Z'
        '" fill="none" stroke="#5b6770" stroke-width="3"/>'
        f'<rect x="52" y="9" width="16" height="9" rx="2" fill="{_colour(seed[15], 55, 40)}"/>'
        f'<rect x="46.5" y="64" width="27" height="24" fill="#fffaf0"/><circle cx="60" cy="76" r="7" fill="{colour}"/>'
    )


def _glass(seed: bytes) -> str:
    full = 44 + seed[1] % 20
    return (
        f'<path d="M42 {full} L78 {full} L74 100 L46 100 Z" fill="{_colour(seed[14], 65, 55)}"/>'
        f'<rect x="48" y="{full + 5}" width="9" height="9" rx="2" fill="#ffffff" fill-opacity="0.5"/>'
        f'<rect x="61" y="{full + 14}" width="9" height="9" rx="2" fill="#ffffff" fill-opacity="0.5"/>'
        '<path d="M38 24 L82 24 L75 102 L45 102 Z" fill="none" stroke="#5b6770" stroke-width="3"/>'
        f'<path d="M66 {full + 8} L76 12" stroke="{_colour(seed[15], 70, 45)}" stroke-width="4"/>'
    )


def _tin(seed: bytes) -> str:
    colour = _colour(seed[14], 60, 50)
    return (
        f'<path d="M42 28 L78 28 L81 35 L81 99 L77 106 L43 106 L39 99 L39 35 Z" fill="{colour}"/>'
        '<path d="M42 28 L78 28 L81 35 L39 35 Z" fill="#c9ced3"/>'
        '<path d="M39 99 L81 99 L77 106 L43 106 Z" fill="#c9ced3"/>'
        '<path d="M39 60 Q60 44 81 60 L81 76 Q60 92 39 76 Z" fill="#fffaf0"/>'
        f'<circle cx="60" cy="68" r="8" fill="{_colour(seed[15], 70, 45)}"/>'
    )


_UNBAKED = {"bottle": _bottle, "glass": _glass, "tin": _tin}


def _colour(number: int, saturation: int, lightness: int) -> str:
    return f"hsl({number * 360 // 256} {saturation}% {lightness}%)"
