"""A service made to be measured: for every order it takes one item off a shelf, once. `python -m bench.shelf`.

Inbox, offsets, contracts, retries, parking: all of it is the backbone's, as in the services; only the effect is one
UPDATE, so that it can be compared with a consumer that somebody else would write.
"""

from typing import Any, ClassVar

import msgspec
from fastapi import APIRouter

from backbone.database import Tx
from backbone.events import Event, Payload
from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings

TAKE = "UPDATE stock SET reserved = reserved + $2 WHERE sku = $1"


class Line(msgspec.Struct, frozen=True):
    item: str
    quantity: int


class OrderPlaced(Payload, frozen=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-placed.v1"
    lines: tuple[Line, ...]


async def take(event: Event[OrderPlaced], tx: Tx) -> None:
    line = event.data.lines[0]
    await tx.raw.execute(TAKE, line.item, line.quantity)


def service(handlers: dict[type[Payload], Any]) -> Service[Settings]:
    return Service(name="shelf", settings=Settings, router=APIRouter(), handlers=handlers)


if __name__ == "__main__":
    run(service({OrderPlaced: take}))
