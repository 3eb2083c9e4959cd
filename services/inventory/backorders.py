"""Decides which of the orders that wait for stock get it: first come, first served.

An order gets all its lines or none. It passes an earlier one only if it needs nothing that the earlier one waits for:
an order waits for each SKU of which less is available than it needs, and for no other, so that one that lacks truffles
does not keep the dough. Orders come in the order of their ids, which is that of their placement.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from services.inventory.events import StockLine
from services.inventory.levels import Level, Levels, available, promise

Waiting = Mapping[str, tuple[StockLine, ...]]
"""What each order needs that waits, by the order's id."""
Claims = Mapping[str, int]
"""The most that one waiting order needs of a SKU; while less is available, that order waits for it."""
NOTHING: Claims = {}


class Supplied(NamedTuple):
    """Tells that an order need not wait any more: its lines, and the levels that they change, before and after."""

    order: str
    lines: tuple[StockLine, ...]
    before: dict[str, Level]
    after: dict[str, Level]


def claims(waiting: Waiting, *, before: str) -> dict[str, int]:
    """Return the claims of all that wait and were placed before an order."""
    claimed: dict[str, int] = {}
    for order, lines in waiting.items():
        if order < before:
            _claim(claimed, lines)
    return claimed


def free(levels: Levels, claimed: Claims, sku: str) -> int:
    """Return how many pieces are nobody's: none while somebody waits for the SKU."""
    there = available(levels, sku)
    return there if claimed.get(sku, 0) <= there else 0


def supply(levels: Levels, waiting: Waiting) -> Iterator[Supplied]:
    """Promise what is there to those who wait, the earliest first."""
    now = dict(levels)
    claimed: dict[str, int] = {}
    for order, lines in sorted(waiting.items()):
        if any(free(now, claimed, line.sku) < line.quantity for line in lines):
            _claim(claimed, lines)
            continue
        after = promise(now, lines)
        yield Supplied(order, lines, {sku: now[sku] for sku in after}, after)
        now |= after


def _claim(claimed: dict[str, int], lines: Iterable[StockLine]) -> None:
    for line in lines:
        claimed[line.sku] = max(claimed.get(line.sku, 0), line.quantity)
