"""Measures the time from accepted to confirmed on an idle machine, beside what it must contain: a commit and a hop.

Orders, inventory, payments and the provider (which sets no limit) run as in production. After each order one plain
commit and one plain hop are measured, so that all three have met the same machine.
"""

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from backbone.storage.statement import Statement
from bench import programs
from bench.result import Results, Row, better, median
from bench.stage import Stage

SERVICES = ("orders", "inventory", "payments", "provider")
TOPIC = "loyalty.events"  # nobody listens to it here
STATUS = Statement("SELECT status FROM orders WHERE id = :order")


@dataclass
class Times:
    """Holds the times found, in milliseconds, the same order's at the same place of each list."""

    confirmed: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    hops: list[float] = field(default_factory=list)


def run(stage: Stage, results: Results) -> None:
    """Measure, and add rows, a note and samples to the results."""
    stage.tell("accepted to confirmed")
    house = programs.house(stage, provider_rate=0)
    with ExitStack() as stack:
        for name in SERVICES:
            stack.enter_context(stage.running(house[name]))
        stage.settle()
        clock = stage.meter()
        times = asyncio.run(_measure(stage, f"http://127.0.0.1:{house['orders'].port}"))
        foreign = clock.read().foreign
    ours, commit, hop = median(times.confirmed), median(times.commits), median(times.hops)
    case, once = "accepted to confirmed, idle, p50", commit + hop
    results.add(Row("latency", case, ours, "one commit + one hop", once, "ms", better(ours, once, less=True), 1 / 6))
    results.add(Row("latency", case, ours, "60 ms", 60.0, "ms", better(ours, 60.0, less=True), 1.0))
    results.note(
        f"One commit took {commit:.2f} ms and one hop {hop:.2f} ms (p50); others kept {foreign:.2f} cores busy."
    )
    results.samples["confirmed"] = times


async def _measure(stage: Stage, url: str) -> Times:
    times = Times()
    producer = AIOKafkaProducer(bootstrap_servers=stage.bootstrap, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=stage.bootstrap, auto_offset_reset="latest")
    connection = await asyncpg.connect(stage.database("orders"))
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        await producer.start()
        await consumer.start()
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS plain_commits (value text)")
            for number in range(stage.scale.of(120, 20)):
                confirmed = await _order(client, connection)
                commit, hop = await _commit(connection), await _hop(producer, consumer)
                if number >= 5:  # the first ones find connections to be made
                    times.confirmed.append(confirmed)
                    times.commits.append(commit)
                    times.hops.append(hop)
        finally:
            await consumer.stop()
            await producer.stop()
            await connection.close()
    return times


async def _order(client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    """Place an order; return the milliseconds from the answer to when the order can be seen to be confirmed."""
    answer = await client.post("/orders", json=programs.ORDER)
    accepted = time.perf_counter()
    order = answer.raise_for_status().json()["id"]
    async with asyncio.timeout(30):
        while await STATUS.fetchval(connection, order=order) == "placed":  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    taken = (time.perf_counter() - accepted) * 1000
    await asyncio.sleep(0.1)
    return taken


async def _commit(connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    began = time.perf_counter()
    await connection.execute("INSERT INTO plain_commits VALUES ('one row')")
    return (time.perf_counter() - began) * 1000


async def _hop(producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> float:
    began = time.perf_counter()
    await producer.send_and_wait(TOPIC, b"a plain record")
    await consumer.getone()
    return (time.perf_counter() - began) * 1000
