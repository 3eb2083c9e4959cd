"""Keeps a shop busy: `python -m bench.feeder JSON` posts orders so that a settable number is always open.

An order counts as completed when its order-completed is in the topic. Once the time is up it waits for the open ones.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer

from bench.load import Plan, Requests, percentile

AGAIN = 0.05
"""Seconds after which an order that was told to come again does so: sooner than it was told, to keep the shop busy."""
TOPIC = "orders.events"
COMPLETED = ("ce_type", b"sliceline.orders.order-completed.v1")


@dataclass
class Shop:
    """Holds what is known of the orders; times in seconds."""

    most_open: int
    posted: dict[str, float] = field(default_factory=dict)
    taken: dict[str, float] = field(default_factory=dict)
    failed: int = 0
    room: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def open(self) -> int:
        return len(self.posted) - len(self.taken)

    async def has_room(self) -> None:
        async with self.room:
            await self.room.wait_for(lambda: self.open < self.most_open)

    async def completed(self, orders: list[str]) -> None:
        now = time.perf_counter()
        async with self.room:
            # An order can be completed before its 202 was read.
            self.taken.update({order: now - self.posted.setdefault(order, now) for order in orders})
            self.room.notify_all()


async def customer(shop: Shop, port: int, requests: Requests, until: float) -> None:
    """Post orders over one connection whenever there is room, until that moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.perf_counter() < until:
            await shop.has_room()
            writer.write(requests.next())
            began = time.perf_counter()
            status, body = await _answer(reader)
            if status == b"202":
                shop.posted.setdefault(json.loads(body)["id"], began)
            elif status == b"429":
                await asyncio.sleep(AGAIN)
            else:
                shop.failed += 1
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read an answer; return its status and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return head[9:12], await reader.readexactly(int(length))


async def watch(shop: Shop, consumer: AIOKafkaConsumer) -> None:
    """Note which orders are completed, until cancelled."""
    while True:
        found = await consumer.getmany(timeout_ms=200)
        records = (record for place in found.values() for record in place)
        done = [record.key.decode() for record in records if COMPLETED in record.headers and record.key]
        if done:
            await shop.completed(done)


async def run(asked: dict[str, Any]) -> dict[str, Any]:
    shop = Shop(asked["open"])
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=asked["bootstrap"], auto_offset_reset="latest")
    await consumer.start()
    await consumer.seek_to_end()
    watching = asyncio.create_task(watch(shop, consumer))
    requests = Requests(Plan([asked["port"]], "/orders", asked["body"], 0))
    until = time.perf_counter() + asked["warm"] + asked["seconds"]
    customers = [asyncio.create_task(customer(shop, asked["port"], requests, until)) for _ in range(32)]
    await asyncio.sleep(asked["warm"])
    began, before, open_before = time.perf_counter(), len(shop.taken), shop.open
    await asyncio.sleep(asked["seconds"])
    seconds, after, open_after = time.perf_counter() - began, len(shop.taken), shop.open
    drained = await _drain(shop, customers)
    watching.cancel()
    await consumer.stop()
    waits = sorted(shop.taken.values())
    return {
        "rate": (after - before) / seconds,
        "open_before": open_before,
        "open_after": open_after,
        "orders": len(shop.posted),
        "unfinished": shop.open,
        "failed": shop.failed,
        "drain": drained,
        "p50": percentile(waits, 0.5),
        "cpu": time.process_time(),
    }


async def _drain(shop: Shop, customers: list["asyncio.Task[None]"]) -> float:
    """Wait until every order is completed, two minutes at most; return the seconds that it took."""
    began = time.perf_counter()
    while time.perf_counter() - began < 120:
        if shop.open == 0 and all(each.done() for each in customers):
            break
        await asyncio.sleep(0.05)
    await asyncio.gather(*customers)
    return time.perf_counter() - began


if __name__ == "__main__":
    json.dump(uvloop.run(run(json.loads(sys.argv[1]))), sys.stdout)
