"""Measures consuming with effect once: inbox row, one stock update and the offset, all in the database.

A topic is filled beforehand; a sample is what a fresh consumer gets through in a span of time.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

import asyncpg

from bench import events
from bench.result import Results, Row, figures
from bench.rounds import Contestant, Sample, Series, interleave
from bench.stage import Stage
from local.ports import free_port
from local.program import Program, python

ITEMS = 1000
SHELF = f"""
INSERT INTO stock (sku, on_hand, reserved, sold, initial, adjusted, threshold, ceiling)
SELECT 'sku-' || lpad(n::text, 8, '0'), 1000000000, 0, 0, 1000000000, 0, 0, 2000000000
FROM generate_series(1, {ITEMS}) n
"""
# A consumer that has done so many is under way.
WARM = 200
DONE = "SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_offsets"
TAKEN = "SELECT sum(reserved)::bigint FROM stock WHERE sku LIKE 'sku-%'"
ANEW = ("TRUNCATE inbox, consumer_offsets", "UPDATE stock SET reserved = 0 WHERE reserved > 0", "VACUUM FULL stock")


def run(stage: Stage) -> Results:
    results = Results()
    total = stage.scale.of(300_000, 60_000)
    stage.migrate()
    stage.tell("filling the topic")
    asyncio.run(events.fill_topic(stage.kafka.admin, total, ITEMS))
    contestants = {
        "set": contestant(stage, total, "sets", lambda url: ours(stage, url, "sets")),
        "one event": contestant(stage, total, "ours", lambda url: ours(stage, url, "one by one")),
        "faststream": contestant(stage, total, "theirs", lambda url: _faststream(stage, url)),
    }
    series = interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
    judge(results, series)
    series.account(results, "consume")
    return results


def judge(results: Results, series: Series) -> None:
    for ours, goal in (("set", 60.0), ("one event", 5.0)):
        mine, theirs = series.value(ours), series.value("faststream")
        ratio = series.ratio(ours, "faststream")
        results.add(Row("consume", f"{ours} handler", mine, "faststream", theirs, "events/s", ratio, goal))
    for name in series.names:
        results.note(f"{name}: cores kept busy: {figures(series.cpu(name))}.")


def ours(stage: Stage, url: str, shelf: str, env: Mapping[str, str] | None = None) -> Program:
    """Describe our consumer, which takes items off the shelf in a database as they were ordered."""
    environment = {
        "SLICELINE_DATABASE_URL": url,
        "SLICELINE_KAFKA": stage.bootstrap,
        "SLICELINE_PORT": str(free_port()),
        "SLICELINE_AUTH": "off",
        "SHELF": shelf,
        **(env or {}),
    }
    command = python("-m", "bench.shelf", "--roles", "consumers")
    return Program(name="consumer", command=command, env=environment)


def _faststream(stage: Stage, url: str) -> Program:
    environment = {"PEER_DATABASE_URL": url, "PEER_KAFKA": stage.bootstrap, "PEER_GROUP": f"peer-{uuid4().hex[:8]}"}
    return Program(name="consumer", command=python("-m", "bench.peers.faststream_consumer"), env=environment)


def contestant(stage: Stage, total: int, name: str, program: Callable[[str], Program]) -> Contestant:
    """Make a consumer a contestant, with a shelf of its own."""
    url = stage.new_database(f"shelf_{name}", like="inventory")
    stage.sql(url, SHELF)

    def measured() -> Sample:
        stage.sql(url, *ANEW)
        stage.settle()
        with stage.running(program(url)):
            sample = asyncio.run(watch(stage, url, total))
        _check(stage, url)
        return sample

    return measured


async def watch(stage: Stage, url: str, total: int) -> Sample:
    """Measure the consumer from when it is under way until `total` events are done or the time is up."""
    span = stage.scale.of(8.0, 3.0)
    connection = await asyncpg.connect(url)
    try:
        there = await _progress(connection)
        began = await _progress(connection, at_least=there + WARM, within=60)
        start, meter = time.perf_counter(), stage.meter()
        while (now := await _progress(connection)) < total and time.perf_counter() - start < span:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        reading = meter.read()
    finally:
        await connection.close()
    return Sample((now - began) / reading.seconds, reading)


async def _progress(connection: "asyncpg.Connection[asyncpg.Record]", at_least: int = 0, within: float = 5) -> int:
    async with asyncio.timeout(within):
        while (done := int(await connection.fetchval(DONE))) < at_least:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return done


def _check(stage: Stage, url: str) -> None:
    """Check that every event that counts as done has had its effect, once. Raises RuntimeError."""
    done, taken = stage.sql(url, DONE), stage.sql(url, TAKEN)
    if done != taken:
        raise RuntimeError(f"{done} events were done, but {taken} items were taken off the shelf")
