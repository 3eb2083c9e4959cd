"""Says how a reservation and a SKU's level follow from events.

What was promised to an order depends on all the stock there was, and is taken as it was told; what its end does to the
promise is decided again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from backbone.decision import Decision
from backbone.events.payload import Event
from backbone.rebuilding import Rebuilding
from services.inventory.decisions import FACTS, Reservation, Stock
from services.inventory.events import (
    BackorderWithdrawn,
    OrderCancelled,
    OrderCompleted,
    OrderRejected,
    SkuRetired,
    StockBackordered,
    StockLevelChanged,
    StockLine,
    StockRejected,
    StockReleased,
    StockReserved,
)
from services.inventory.levels import Level


class _Promise(msgspec.Struct, frozen=True):
    """Holds what an order was promised (None: nothing), and what it waits for."""

    reservation: Reservation | None = None
    waits: tuple[StockLine, ...] = ()


class _Sku(msgspec.Struct, frozen=True):
    available: int
    threshold: int
    ceiling: int
    retired: bool = False


def _ended(promise: _Promise | None, event: Event[Any], _: datetime) -> Decision[_Promise] | None:
    outcome = FACTS[type(event.data)](_stock(event.data.order, promise or _Promise()), {}, event.data)
    if outcome.order.state is None:
        return None
    return Decision(_Promise(outcome.order.state), outcome.order.events)


def _stock(order: str, promise: _Promise) -> Stock:
    """Make the least stock in which such a promise can stand."""
    lines = promise.reservation.lines if promise.reservation else ()
    levels = {line.sku: _level(line.quantity) for line in lines}
    reservations = {order: promise.reservation} if promise.reservation else {}
    return Stock(levels, reservations, {order: promise.waits} if promise.waits else {})


def _level(pieces: int) -> Level:
    return Level(pieces, reserved=pieces, sold=0, initial=pieces, adjusted=0, threshold=0, ceiling=pieces)


def _reserved(_: _Promise | None, event: Event[StockReserved], __: datetime) -> Decision[_Promise]:
    return Decision(_Promise(Reservation(event.data.lines)))


def _waiting(_: _Promise | None, event: Event[StockBackordered], __: datetime) -> Decision[_Promise]:
    return Decision(_Promise(waits=event.data.lines))


def _rejected(promise: _Promise | None, _: Event[StockRejected], __: datetime) -> Decision[_Promise]:
    return Decision(promise or _Promise())


def _promise_shown(promise: _Promise) -> dict[str, Any]:
    kept = promise.reservation
    status = kept.status if kept else "waiting" if promise.waits else "nothing reserved"
    return {"reservation": status, "lines": msgspec.to_builtins(kept.lines if kept else promise.waits)}


def _levelled(_: _Sku | None, event: Event[StockLevelChanged], __: datetime) -> Decision[_Sku]:
    told = event.data
    return Decision(_Sku(told.after.available, told.threshold, told.ceiling))


def _retired(sku: _Sku | None, _: Event[SkuRetired], __: datetime) -> Decision[_Sku]:
    return Decision(msgspec.structs.replace(sku, retired=True) if sku else _Sku(0, 0, 0, retired=True))


def _about(name: str) -> Callable[[Any], str | None]:
    return lambda payload: getattr(payload, name, None)


REBUILDS = (
    Rebuilding(
        of="order",
        key=_about("order"),
        heard={OrderRejected: _ended, OrderCancelled: _ended, OrderCompleted: _ended},
        told={StockReserved: _reserved, StockBackordered: _waiting, StockRejected: _rejected},
        at_once=frozenset({StockReleased, BackorderWithdrawn}),
        show=_promise_shown,
        lacks="How it was decided what is reserved: that takes all stock and recipes of that moment.",
    ),
    Rebuilding(
        of="sku",
        key=_about("sku"),
        heard={},
        told={StockLevelChanged: _levelled, SkuRetired: _retired},
        at_once=frozenset(),
        show=msgspec.to_builtins,
        lacks="How many were on hand, reserved and sold: events tell what is available.",
    ),
)
