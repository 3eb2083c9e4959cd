"""Publishes at a steady pace through our own transactions: `python -m bench.publisher JSON`.

Prints when each event was committed, by its key. With `relay` our relay runs in the same process, as it does in a
service, and is woken by the commits; without it the outbox is left to somebody else.
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from backbone.ids import new_id
from backbone.publishing.relay import Relay
from backbone.storage.database import Database
from backbone.values.brokers import Brokers
from bench import events


async def publish(database: Database, rate: float, seconds: float) -> dict[str, float]:
    """Publish an order each 1/rate seconds; return the moment after each commit, by key."""
    committed: dict[str, float] = {}
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        order = new_id()
        async with database.transaction() as tx:
            tx.publish(events.order_placed(order, "margherita"), key=order)
        committed[order] = time.perf_counter()
    return committed


async def main(asked: dict[str, Any]) -> dict[str, float]:
    database = Database(asked["database"], "orders")
    relay = Relay(database, Brokers(asked["bootstrap"]))
    running = asyncio.create_task(relay.run()) if asked["relay"] else None
    try:
        # The first events find connections to be made and code to be loaded.
        await publish(database, asked["rate"], asked["warm"])
        committed = await publish(database, asked["rate"], asked["seconds"])
        await asyncio.sleep(1)
    finally:
        relay.stop()
        if running:
            await running
        await database.close()
    return committed


if __name__ == "__main__":
    json.dump(uvloop.run(main(json.loads(sys.argv[1]))), sys.stdout)
