"""Is a service made to be measured: for every order it takes one item off a shelf, once. `python -m bench.shelf`.

Inbox, offsets, contracts, retries, parking: all of it is the backbone's, as in the services; only the effect is one
UPDATE, so that it can be compared with a consumer that somebody else would write. SHELF=sets handles whole batches.
"""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from fastapi import APIRouter
from sqlalchemy import BigInteger, Text, column

from backbone.consuming.handlers import BatchHandler, Handler
from backbone.events.payload import Event, Payload
from backbone.process import run
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage.database import Tx
from backbone.storage.statement import Statement, tuples

TAKE = Statement("UPDATE stock SET reserved = reserved + :quantity WHERE sku = :sku")
TAKE_ALL = Statement(
    """
UPDATE stock SET reserved = reserved + taken.quantity
FROM (SELECT sku, quantity FROM stock JOIN :wanted USING (sku) ORDER BY sku FOR NO KEY UPDATE OF stock) AS taken
WHERE stock.sku = taken.sku
""",
    wanted=tuples(column("sku", Text), column("quantity", BigInteger)),
)


class Line(msgspec.Struct, frozen=True):
    item: str
    quantity: int


class OrderPlaced(Payload, frozen=True):
    TYPE: ClassVar[str] = "sliceline.orders.order-placed.v1"
    lines: tuple[Line, ...]


async def take(event: Event[OrderPlaced], tx: Tx) -> None:
    line = event.data.lines[0]
    await TAKE.execute(tx.raw, sku=line.item, quantity=line.quantity)


async def take_all(events: Sequence[Event[Any]], tx: Tx) -> None:
    wanted: Counter[str] = Counter()
    for event in events:
        line = event.data.lines[0]
        wanted[line.item] += line.quantity
    await TAKE_ALL.execute(tx.raw, wanted=wanted.items())


def service(handler: Handler) -> Service[Settings]:
    return Service(name="shelf", settings=Settings, router=APIRouter(), handlers={OrderPlaced: handler})


if __name__ == "__main__":
    run(service(BatchHandler(take_all) if os.environ.get("SHELF") == "sets" else take))
