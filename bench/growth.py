"""Measures the same work on a system that has been used for long: a full warehouse, a long memory, a backlog.

Each of accept, relay and reserve runs on a database that is nearly empty and on one that has grown, in turn.
"""

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass

import asyncpg

from backbone.storage import sql
from bench import accept, consume, events, programs
from bench.result import Results, Row
from bench.rounds import Contestant, Sample, interleave
from bench.stage import Stage

# Orders name so many different SKUs, which in the grown warehouse lie far apart.
NAMED = 1000
LOAD_STOCK = """
INSERT INTO stock (sku, on_hand, reserved, sold, initial, adjusted, threshold, ceiling)
SELECT 'sku-' || lpad((n * {step})::text, 8, '0'), 1000000000, 0, 0, 1000000000, 0, 0, 2000000000
FROM generate_series(1, {count}) AS n
"""
# Identifiers as ours: sorted by time, made within the days that the inbox is kept.
LOAD_INBOX = """
INSERT INTO inbox (consumer, name, occurrence, received_at)
SELECT 'inventory', 'sliceline.orders.order-placed', uuidv7(age)::text, now() + age
FROM (SELECT make_interval(secs => -1209600.0 * ({count} - n) / {count}) AS age
      FROM generate_series(1, {count}) AS n) AS made
"""
# One for each event of the backlog, as publishing leaves them.
LOAD_SEQUENCES = "INSERT INTO sequences (key, last) SELECT aggregateid, 1 FROM outbox ON CONFLICT DO NOTHING"
LESSEN = "DELETE FROM outbox WHERE position IN (SELECT position FROM outbox ORDER BY position DESC LIMIT {count})"
# Back to before the first order, but for what was loaded.
ANEW = (
    "TRUNCATE consumer_offsets, reservations, outbox, sequences",
    "UPDATE stock SET reserved = 0 WHERE reserved > 0",
    "DELETE FROM inbox WHERE received_at > '{loaded}'",
    "VACUUM inbox, stock",
)


@dataclass(frozen=True)
class Size:
    """Says how much has grown, in rows."""

    skus: int
    inbox: int
    backlog: int

    @property
    def words(self) -> str:
        return f"{self.skus:,} SKUs, {self.inbox:,} inbox rows, {self.backlog:,} outbox rows"


def run(stage: Stage) -> Results:
    results = Results()
    size = stage.scale.of(Size(1_000_000, 10_000_000, 1_000_000), Size(50_000, 200_000, 50_000))
    stage.migrate()
    grown = {name: stage.new_database(f"{name}_grown", like=name) for name in ("orders", "inventory")}
    orders = stage.scale.of(150_000, 20_000)
    _load(stage, grown, size, orders)
    for case, unit, contestants in (
        ("accept", "orders/s", _accepting(stage, grown["orders"])),
        ("relay", "events/s", _relaying(stage, grown["orders"], size)),
        ("reserve", "orders/s", _reserving(stage, grown["inventory"], orders)),
    ):
        series = interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
        ours, theirs = series.value("grown"), series.value("empty")
        results.add(Row("growth", case, ours, "empty", theirs, unit, series.ratio("grown", "empty"), 0.9))
        series.account(results, f"growth, {case}")
    results.note(f"Grown: {size.words}.")
    return results


def _load(stage: Stage, grown: dict[str, str], size: Size, orders: int) -> None:
    stage.tell(f"loading {size.words}")
    step = size.skus // NAMED
    stage.sql(stage.database("inventory"), LOAD_STOCK.format(count=NAMED, step=step), "ANALYZE")
    inbox = LOAD_INBOX.format(count=size.inbox)
    stage.sql(grown["inventory"], LOAD_STOCK.format(count=size.skus, step=1), inbox, "VACUUM ANALYZE")
    stage.sql(grown["orders"], events.outbox_rows(size.backlog), LOAD_SEQUENCES, "VACUUM ANALYZE")
    stage.tell("filling the topic")
    asyncio.run(events.fill_topic(stage.kafka.admin, orders, NAMED, step))


def _accepting(stage: Stage, grown: str) -> dict[str, Contestant]:
    """Return the contestants that accept orders, without the relay, which would take the backlog away."""
    return {
        "grown": lambda: _accept(stage, grown),
        "empty": lambda: _accept(stage, stage.database("orders")),
    }


def _accept(stage: Stage, url: str) -> Sample:
    program = programs.service(stage, "orders", "api", database=url)
    with stage.running(program):
        stage.settle()
        accept.load(stage, [program], seconds=stage.scale.of(2, 0.5))
        return accept.load(stage, [program])


def _relaying(stage: Stage, grown: str, size: Size) -> dict[str, Contestant]:
    count = stage.scale.of(100_000, 10_000)
    return {
        "grown": lambda: _relay(stage, grown, size.backlog, count),
        "empty": lambda: _relay(stage, stage.database("orders"), count, count),
    }


def _relay(stage: Stage, url: str, backlog: int, count: int) -> Sample:
    """Relay the first `count` events of a backlog of that size, which is restored first: accepting added to it."""
    surplus = stage.sql(url, "SELECT count(*) FROM outbox") - backlog
    if surplus > 0:
        stage.sql(url, LESSEN.format(count=surplus))
    elif surplus < 0:
        stage.sql(url, events.outbox_rows(-surplus))
    stage.sql(url, "VACUUM ANALYZE outbox")
    stage.settle()
    return asyncio.run(_race(stage, url, count))


async def _race(stage: Stage, url: str, count: int) -> Sample:
    """Measure a relay that is up and waits for its lock, which we hold; letting go of it is the starting gun."""
    connection = await asyncpg.connect(url)
    held = connection.transaction()
    await held.start()
    assert await sql.RELAY_LOCK.fetchval(connection)
    with ExitStack() as stack:
        stack.enter_context(stage.running(programs.service(stage, "orders", "relay", database=url, label="relay")))
        stage.calm()
        async with events.Ends(stage.kafka.admin) as ends:
            before = await ends.count(events.TOPIC)
            clock, began = stage.meter(), time.perf_counter()
            await held.rollback()
            reached = await ends.reach(events.TOPIC, before + count, timeout=120)
            seconds, reading = time.perf_counter() - began, clock.read()
    await connection.close()
    return Sample((reached - before) / seconds, reading)


def _reserving(stage: Stage, grown: str, orders: int) -> dict[str, Contestant]:
    # Accepting and relaying have added to the topic, but the first ones of each partition are those we put there.
    loaded = stage.sql(grown, "SELECT now()::text")
    anew = [statement.format(loaded=loaded) for statement in ANEW]
    return {
        "grown": lambda: _reserve(stage, grown, anew, orders),
        "empty": lambda: _reserve(stage, stage.database("inventory"), anew, orders),
    }


def _reserve(stage: Stage, url: str, anew: list[str], orders: int) -> Sample:
    """Measure inventory as it reads the orders from the first one on."""
    stage.sql(url, *anew)
    stage.settle()
    with stage.running(programs.service(stage, "inventory", "consumers", database=url)):
        return asyncio.run(consume.watch(stage, url, orders))
