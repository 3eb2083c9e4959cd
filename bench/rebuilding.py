"""Rebuilds loyalty from the archive in a process of its own, for `bench/replay.py`: JSON as its argument, JSON out."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec

from backbone.events import contracts
from backbone.events.envelope import Envelope, to_record
from backbone.ids import new_id
from backbone.storage.database import Database
from bench.events import PARTITIONS
from deployment.shadowing import Rebuilding, rebuilt
from services.ledger.kept import headers_as_json
from services.ledger.tables import events
from services.loyalty.service import SERVICE

TYPE = "sliceline.orders.order-completed.v1"
TOPIC = "orders.events"
CUSTOMERS = 5000
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
CHUNK = 20_000
COLUMNS = [column.name for column in events.columns]


def fill(archive: str, count: int) -> dict[str, float]:
    """Put orders that were completed into the archive, one for each millisecond."""
    asyncio.run(_fill(archive, count))
    return {"count": count}


async def _fill(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for first in range(0, count, CHUNK):
            rows = [_row(number) for number in range(first, min(first + CHUNK, count))]
            await connection.copy_records_to_table("events", records=rows, columns=COLUMNS)
        await connection.execute("ANALYZE events")
    finally:
        await connection.close()


def _row(number: int) -> tuple[Any, ...]:
    order, at = new_id(), BEGAN + timedelta(milliseconds=number)
    total = {"amount": 100 + number % 5000, "currency": "GBP"}
    data = {"order": order, "customer_id": f"customer-{number * 7919 % CUSTOMERS}", "total": total}
    envelope = Envelope(
        id=new_id(),
        type=TYPE,
        source="/sliceline/orders",
        subject=order,
        time=at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        dataschema=contracts.dataschema(TYPE),
        partitionkey=order,
        correlationid=new_id(),
        occurrenceid=new_id(),
        sequence=1,
        data=msgspec.json.encode(data),
    )
    key, value, headers = to_record(envelope)
    kept = {
        "day": at.date(),
        "time": at,
        "topic": TOPIC,
        "partition": number % PARTITIONS,
        "offset": number // PARTITIONS,
        "recorded_at": at,
        "key": order,
        "record_key": key,
        "headers": headers_as_json(headers),
        "value": value,
        "archived_at": at,
    }
    return tuple(kept.get(name, getattr(envelope, name, None)) for name in COLUMNS)


def live(database: str, ledger: str) -> dict[str, float]:
    """Have the live tables filled as a consumer would that follows closely."""
    return asyncio.run(_live(database, ledger))


async def _live(url: str, ledger: str) -> dict[str, float]:
    with httpx.Client(base_url=ledger, timeout=120, trust_env=False) as client:
        rebuilding = Rebuilding(SERVICE, url, client)
        rebuilding.replaying._database = Database(url, SERVICE.name)
        await rebuilding.feed()
        await rebuilding.replaying._database.close()
    return {"count": rebuilding.done}


def shadow(database: str, ledger: str) -> dict[str, float]:
    """Rebuild the tables and compare them; tell how long that took, and of how many rows."""
    return asyncio.run(_shadow(database, ledger))


async def _shadow(url: str, ledger: str) -> dict[str, float]:
    with httpx.Client(base_url=ledger, timeout=120, trust_env=False) as client:
        rebuilding, began = Rebuilding(SERVICE, url, client), time.perf_counter()
        fed_at, busy = began, time.process_time()
        cpu = 0.0

        def tell(_: int) -> None:
            nonlocal fed_at, cpu
            fed_at, cpu = time.perf_counter(), time.process_time() - busy

        rebuilding.tell = tell
        compared = await rebuilt(rebuilding, swap=False)
    return {
        "count": rebuilding.done,
        "feeding": fed_at - began,
        "cpu": cpu,
        "seconds": time.perf_counter() - began,
        "rows": sum(each.live for each in compared),
        "different": sum(each.different for each in compared),
    }


if __name__ == "__main__":
    steps: dict[str, Callable[..., dict[str, float]]] = {"fill": fill, "live": live, "shadow": shadow}
    request = json.loads(sys.argv[1])
    print(json.dumps(steps[request.pop("do")](**request)))
