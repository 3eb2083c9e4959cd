"""Draws what is on the menu: a pizza for what is baked, a glass for what is not, each item in colours of its own.

A picture depends on the item alone, so that it may be kept by whoever has it. It is made of numbers that are computed
here and of the item's name, which is escaped; it has no script, no style and no link.
"""

from hashlib import sha256
from html import escape
from math import cos, pi, sin

from services.orders.menu import MenuItem

_TOPPINGS = 11
_GOLDEN = pi * (3 - 5**0.5)
"""The angle by which sunflowers turn from seed to seed: however many there are, none hides another."""


def draw(item: MenuItem) -> str:
    """Draw an item as a document of SVG."""
    seed = sha256(item.item.encode()).digest()
    title = escape(item.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120" role="img"><title>{title}</title>'
        f'<rect width="120" height="120" rx="12" fill="{_colour(seed[0], 40, 92)}"/>'
        f"{_pizza(seed) if item.baked else _glass(seed)}</svg>"
    )


def _pizza(seed: bytes) -> str:
    base = (
        '<circle cx="60" cy="60" r="48" fill="#d9a35b"/><circle cx="60" cy="60" r="42" fill="#c8452f"/>'
        '<circle cx="60" cy="60" r="39" fill="#f6d98a"/>'
    )
    return base + "".join(_topping(number, seed) for number in range(_TOPPINGS))


def _topping(number: int, seed: bytes) -> str:
    away, turn = 32 * ((number + 0.5) / _TOPPINGS) ** 0.5, number * _GOLDEN + seed[1] / 40
    x, y, size = 60 + away * cos(turn), 60 + away * sin(turn), 3 + seed[2 + number] % 4
    colour = _colour(seed[14 + number % 2], 62, 42)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}"/>'


def _glass(seed: bytes) -> str:
    full = 44 + seed[1] % 20
    return (
        f'<path d="M42 {full} L78 {full} L74 100 L46 100 Z" fill="{_colour(seed[14], 65, 55)}"/>'
        '<path d="M38 24 L82 24 L75 102 L45 102 Z" fill="none" stroke="#5b6770" stroke-width="3"/>'
        f'<path d="M66 {full + 8} L76 12" stroke="{_colour(seed[15], 70, 45)}" stroke-width="4"/>'
    )


def _colour(number: int, saturation: int, lightness: int) -> str:
    return f"hsl({number * 360 // 256} {saturation}% {lightness}%)"
