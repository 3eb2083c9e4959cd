"""Measures relaying, from a full outbox into Kafka, in order.

The outbox is filled in one transaction; its commit is the starting gun, the last event in the topic the finish. Our
relay and both Debeziums run and are warm by then; those whose turn it is not are at rest. All write to a topic whose
batches the broker has on its disk before it acknowledges them; ours also to the same one without that.
"""

import asyncio
import time
from contextlib import ExitStack

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from backbone.events import buses
from backbone.events.topics import DEFAULT_BUS
from backbone.publishing import making
from backbone.values.brokers import Brokers
from bench import events, meter, programs
from bench.peers import debezium
from bench.result import Results, Row, figures
from bench.rounds import Contestant, Sample, Series, interleave
from bench.stage import Stage
from deployment import topics
from local.program import Program, Server


def run(stage: Stage) -> Results:
    results = Results()
    stage.migrate()
    count = stage.scale.of(100_000, 20_000)
    databases = {kind: stage.new_database(kind, like="orders") for kind in ("tuned", "default")}
    with ExitStack() as stack:
        ours = _ours(stage, stack, count)
        contestants = {
            "ours": ours,
            "unsynced": _unsynced(stage, ours),
            **{kind: _debezium(stage, stack, results, count, kind, url) for kind, url in databases.items()},
            "producer": lambda: _producer(stage, count),
        }
        series = interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
    judge(results, series)
    if stage.scale.quick:
        results.note("In a quick run Debezium is not warm yet: twice the rate is to be expected of it in a full one.")
    series.account(results, "relay")
    return results


def judge(results: Results, series: Series) -> None:
    for peer, goal in (("tuned", 1.1), ("default", None), ("producer", None)):
        name = f"debezium {peer}" if peer != "producer" else "raw producer"
        ours, theirs = series.value("ours"), series.value(peer)
        results.add(Row("relay", "full outbox", ours, name, theirs, "events/s", series.ratio("ours", peer), goal))
    synced, unsynced = series.value("ours"), series.value("unsynced")
    ratio = series.ratio("ours", "unsynced")
    results.add(Row("relay", "each batch on the disk", synced, "left to the kernel", unsynced, "events/s", ratio))
    costs = ("cpu", "CPU, process", "CPU s/100k", 2.0), ("memory", "memory", "MiB (PSS)", 4.0)
    together = ("together", "CPU, process and Postgres", "CPU s/100k", None)
    for figure, case, unit, least in (*costs, together):
        ours, theirs = series.value("ours", figure), series.value("tuned", figure)
        ratio = series.ratio("ours", "tuned", figure, less=True)
        results.add(Row("relay", case, ours, "debezium tuned", theirs, unit, ratio, least))
    for name in series.names:
        results.note(f"{name}: cores kept busy: {figures(series.cpu(name))}.")


def _ours(stage: Stage, stack: ExitStack, count: int) -> Contestant:
    server = stack.enter_context(stage.running(programs.service(stage, "orders", "relay", label="ours")))
    for _ in range(warm_ups(stage)):
        race(stage, stage.database("orders"), count, server)

    def measured() -> Sample:
        stage.settle()
        return race(stage, stage.database("orders"), count, server)

    return measured


def _unsynced(stage: Stage, ours: Contestant) -> Contestant:
    """Make ours a contestant once more, while the broker leaves it to the kernel when an event comes to the disk."""

    def measured() -> Sample:
        asyncio.run(_set(stage.bootstrap, making.ARRIVAL))
        try:
            return ours()
        finally:
            asyncio.run(_set(stage.bootstrap, making.settings(buses.find(DEFAULT_BUS), 1)))

    return measured


async def _set(bootstrap: str, configuration: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await topics.configure(admin, {events.TOPIC: configuration})
    finally:
        await admin.close()


def _debezium(stage: Stage, stack: ExitStack, results: Results, count: int, kind: str, url: str) -> Contestant:
    stage.tell(f"starting and warming Debezium ({kind})")
    program = debezium.program(stage.folder / kind, url, stage.bootstrap, label=kind, tuned=kind == "tuned")
    server = stack.enter_context(stage.running(program))
    port = _port(program)
    for _ in range(warm_ups(stage)):
        race(stage, url, count, server)
    debezium.stop_reading(port)
    read = asyncio.run(events.readable(stage.kafka.admin))
    results.note(f"Can our consumers read what Debezium ({kind}) makes of our outbox? {read}.")

    def measured() -> Sample:
        debezium.go_on(port)
        race(stage, url, 1, server)
        stage.settle()
        sample = race(stage, url, count, server)
        debezium.stop_reading(port)
        return sample

    return measured


def warm_ups(stage: Stage) -> int:
    """Return in how many rounds Java compiles what runs often; a quick run has no time for that."""
    return int(stage.scale.of(4, 2))


def _port(program: Program) -> int:
    assert program.port is not None
    return program.port


def _producer(stage: Stage, count: int) -> Sample:
    stage.settle()
    answer, reading = stage.call("bench.peers.raw_producer", {"bootstrap": stage.bootstrap, "count": count})
    return Sample(count / answer["seconds"], reading)


def race(stage: Stage, url: str, count: int, server: Server, kafka: Brokers | None = None) -> Sample:
    """Measure how fast a relay empties the outbox of a database into the stage's Kafka, or another one."""
    sample = asyncio.run(_run(stage, url, count, kafka or stage.kafka.admin))
    own, postgres = (sample.reading.cpu[name] for name in (server.program.name, "postgres"))
    per = 100_000 / count
    more = {"cpu": own * per, "together": (own + postgres) * per, "memory": meter.memory([server.pid])}
    return Sample(sample.value, sample.reading, more)


async def _run(stage: Stage, url: str, count: int, kafka: Brokers) -> Sample:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM outbox")
        async with events.Ends(kafka) as ends:
            before = await ends.count(events.TOPIC)
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(events.outbox_rows(count), timeout=300)
            clock, began = stage.meter(), time.perf_counter()
            await transaction.commit()
            reached = await ends.reach(events.TOPIC, before + count, timeout=120)
            seconds, reading = time.perf_counter() - began, clock.read()
    finally:
        await connection.close()
    if reached != before + count:
        raise RuntimeError(f"{reached - before} events arrived of {count}")
    return Sample(count / seconds, reading)
