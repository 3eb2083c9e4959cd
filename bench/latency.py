"""Measures how long an event travels at 100 a second, and how long an idle shop takes from accepted to confirmed."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from aiokafka import AIOKafkaConsumer

from bench import confirming, events
from bench.load import percentile
from bench.peers import debezium
from bench.result import Results, Row
from bench.rounds import Contestant, Sample, Series, interleave
from bench.stage import Call, Stage

RATE = 100.0


def run(stage: Stage) -> Results:
    results = Results()
    stage.migrate()
    # First: what follows publishes orders that nobody has placed.
    confirming.run(stage, results)
    goals = stage.scale.of({"tuned": 2.0, "default": 50.0}, {"tuned": 2.0})
    databases = {kind: stage.new_database(kind, like="orders") for kind in goals}
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {
            "ours": lambda: _sample(stage, stage.database("orders"), relay=True),
            **{kind: _debezium(stage, stack, kind, url) for kind, url in databases.items()},
        }
        series = interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
    _judge(results, series, goals)
    if stage.scale.quick:
        results.note("A quick run leaves Debezium's defaults out: they are slower by far.")
    series.account(results, "latency")
    return results


def _judge(results: Results, series: Series, goals: Mapping[str, float]) -> None:
    for kind, goal in goals.items():
        for figure, case, least in (("", "p50", goal), ("p99", "p99", None)):
            ours, theirs = series.value("ours", figure), series.value(kind, figure)
            ratio = series.ratio("ours", kind, figure, less=True)
            case = f"commit to receive, {case}"
            results.add(Row("latency", case, ours, f"debezium {kind}", theirs, "ms", ratio, least))


def _debezium(stage: Stage, stack: ExitStack, kind: str, url: str) -> Contestant:
    stage.tell(f"starting and warming Debezium ({kind})")
    program = debezium.program(stage.folder / kind, url, stage.bootstrap, label=kind, tuned=kind == "tuned")
    stack.enter_context(stage.running(program))
    assert program.port is not None
    port = program.port
    _sample(stage, url, relay=False)
    debezium.stop_reading(port)

    def measured() -> Sample:
        debezium.go_on(port)
        sample = _sample(stage, url, relay=False)
        debezium.stop_reading(port)
        return sample

    return measured


def _sample(stage: Stage, database: str, *, relay: bool) -> Sample:
    stage.settle()
    clock = stage.meter()
    waits = asyncio.run(_follow(stage, database, relay))
    return Sample(percentile(waits, 0.5) * 1000, clock.read(), {"p99": percentile(waits, 0.99) * 1000})


async def _follow(stage: Stage, database: str, relay: bool) -> list[float]:
    """Return the seconds from commit to arrival of every event, sorted."""
    request = {
        "database": database,
        "bootstrap": stage.bootstrap,
        "rate": RATE,
        "warm": stage.scale.of(1.5, 0.5),
        "seconds": stage.scale.of(15, 1.5),
        "relay": relay,
    }
    consumer = AIOKafkaConsumer(events.TOPIC, bootstrap_servers=stage.bootstrap, auto_offset_reset="latest")
    await consumer.start()
    try:
        await consumer.seek_to_end()
        await asyncio.gather(*(consumer.position(each) for each in consumer.assignment()))
        with stage.begin("bench.publisher", request) as call:
            committed, received = await _both(consumer, call)
    finally:
        await consumer.stop()
    if lost := committed.keys() - received.keys():
        raise RuntimeError(f"{len(lost)} of {len(committed)} events did not arrive")
    return sorted(received[key] - at for key, at in committed.items())


async def _both(consumer: AIOKafkaConsumer, call: Call) -> tuple[dict[str, float], dict[str, float]]:
    received: dict[str, float] = {}
    answering = asyncio.create_task(asyncio.to_thread(call.answer))
    await _receive(consumer, received, until=answering.done)
    return await answering, received


async def _receive(consumer: AIOKafkaConsumer, received: dict[str, float], until: Callable[[], bool]) -> None:
    while not until():
        found = await consumer.getmany(timeout_ms=100)
        now = time.perf_counter()
        for records in found.values():
            received.update((record.key.decode(), now) for record in records if record.key)
