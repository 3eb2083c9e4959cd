"""Measures what a million reminders that are not due yet cost those that are, and how fast ten thousand go out.

What reminders does runs on a database without any and on one in which many are pending, in turn: it hears of items in
new carts, reminds of carts whose time has come, and tells what waits, as every scrape asks. Then ten thousand are due
at the same instant among the others: told by reminders as it runs in production, and mailed by notifications to the
sandbox's mail server. Processor time is that of what reminders does and of Postgres, whoever else uses the machine.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from backbone.context import Context
from backbone.events.payload import Event
from backbone.ids import new_id
from backbone.jobs.work import Done
from backbone.jobs.worker import Worker
from backbone.storage import backlog
from backbone.storage.database import Database, Tx
from bench import events, programs
from bench.meter import Meter
from bench.result import Results, Row
from bench.rounds import Contestant, Sample, interleave
from bench.stage import Stage
from services.reminders.consumers import hear
from services.reminders.decisions import REMIND, Fact
from services.reminders.events import Customer, ItemAddedToCart, Line
from services.reminders.jobs import JOBS
from services.reminders.settings import Settings

TOPIC = "reminders.events"
BATCH = 256
"""As many as a consumer's or a worker's transaction writes at most together."""
LOOKS = 1_000
ADA = Customer("ada", "Ada Lovelace", "ada@example.com")
LINES = (Line("margherita", 2),)
# In both, `due` is when the last item is a day old.
LOAD = """
INSERT INTO reminders (cart, version, lines, customer, last_item_at, heard_at)
SELECT '{prefix}-' || n, 1, '[{{"item": "margherita", "quantity": 2}}]',
       '{{"id": "ada", "name": "Ada Lovelace", "email": "ada@example.com"}}',
       now() - interval '1 day' + {due}, now() - interval '1 day' + {due}
FROM generate_series(1, {count}) AS n
"""
LOAD_JOBS = """
INSERT INTO jobs (kind, key, data, due, correlationid)
SELECT 'remind', '{prefix}-' || n, '{{}}', now() + {due}, gen_random_uuid()::text FROM generate_series(1, {count}) AS n
"""
SOMETIME = "interval '1 hour' + n * interval '80 ms'"
"""When pending ones are due: in the course of the day after the next hour."""
NOW = "interval '0'"
ALL_DUE = """
WITH chosen AS (SELECT 'cart-' || n * {step} AS cart FROM generate_series(1, {count}) AS n), timed AS (
  UPDATE reminders SET last_item_at = now() - interval '1 day', heard_at = now() - interval '1 day'
  FROM chosen WHERE reminders.cart = chosen.cart
)
UPDATE jobs SET due = now() FROM chosen WHERE kind = 'remind' AND key = chosen.cart
"""
ANEW = (
    "TRUNCATE outbox, sequences",
    "DELETE FROM jobs WHERE key LIKE 'new-%'",
    "DELETE FROM reminders WHERE cart LIKE 'new-%'",
    "VACUUM ANALYZE jobs, reminders",
)
MAILED = "SELECT count(*) FROM notifications WHERE status = 'sent'"
MINUTE = 60.0


def run(stage: Stage) -> Results:
    results = Results()
    stage.migrate()
    pending, count = stage.scale.of(1_000_000, 50_000), stage.scale.of(10_000, 2_000)
    empty, grown = stage.database("reminders"), stage.new_database("reminders_grown", like="reminders")
    stage.tell(f"loading {pending:,} pending reminders")
    stage.sql(grown, *_loaded("cart", pending, SOMETIME), "VACUUM ANALYZE")
    for contest in (
        Contest("hear", "items/s", _hear, count),
        Contest("remind", "carts/s", _remind, count, _loaded("new", count, NOW)),
        Contest("look", "looks/s", _look, LOOKS, _loaded("new", 1, SOMETIME)),
    ):
        contestants = {"pending": contest.on(stage, grown), "none": contest.on(stage, empty)}
        series = interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
        ours, theirs, ratio = series.value("pending"), series.value("none"), series.ratio("pending", "none")
        case = f"{contest.case}, {pending:,} pending"
        results.add(Row("reminders", case, ours, "none pending", theirs, contest.unit, ratio, 0.9))
        ours, theirs = series.value("pending", "cpu"), series.value("none", "cpu")
        ratio = series.ratio("pending", "none", "cpu", less=True)
        results.add(Row("reminders", f"{case}, CPU", ours, "none pending", theirs, "CPU ms each", ratio, 0.9))
        series.account(results, case)
    _rush(stage, results, grown, pending)
    return results


def _loaded(prefix: str, count: int, due: str) -> tuple[str, str]:
    return LOAD.format(prefix=prefix, count=count, due=due), LOAD_JOBS.format(prefix=prefix, count=count, due=due)


@dataclass(frozen=True)
class Contest:
    """Is one thing that reminders does, so many times; `loaded` is what it finds beside all that is pending."""

    case: str
    unit: str
    act: Callable[[Database, int], Awaitable[float]]
    count: int
    loaded: Sequence[str] = ()

    def on(self, stage: Stage, url: str) -> Contestant:
        """Return what measures it on a database."""

        def measured() -> Sample:
            stage.sql(url, *ANEW, *self.loaded, "ANALYZE jobs, reminders")
            stage.settle()
            clock = Meter({"all": os.getpid(), "kafka": stage.pids["kafka"]})
            seconds = asyncio.run(self._done(url))
            reading = clock.read()
            cpu = reading.cpu["all"] - reading.cpu["kafka"]
            return Sample(self.count / seconds, reading, {"cpu": 1000 * cpu / self.count})

        return measured

    async def _done(self, url: str) -> float:
        database = Database(url, "reminders")
        try:
            return await self.act(database, self.count)
        finally:
            await database.close()


async def _hear(database: Database, count: int) -> float:
    """Handle an item in each of so many new carts, as the consumer does, in the transactions of its batches."""
    added: list[Event[Fact]] = [_added(f"new-{number}", database) for number in range(count)]
    began = time.perf_counter()
    for first in range(0, count, BATCH):
        async with database.transaction() as tx:
            await hear(added[first : first + BATCH], tx)
    return time.perf_counter() - began


def _added(cart: str, database: Database) -> Event[Fact]:
    return Event(
        id=new_id(),
        type=ItemAddedToCart.TYPE,
        source="/sliceline/carts",
        subject=cart,
        time=database.now(),
        key=cart,
        correlationid=new_id(),
        causationid=None,
        occurrenceid=new_id(),
        sequence=1,
        traceparent=None,
        data=ItemAddedToCart(cart=cart, version=1, lines=LINES, customer=ADA),
    )


async def _remind(database: Database, count: int) -> float:
    """Have the service's own worker tell of all carts that are due."""
    told, all_told = 0, asyncio.Event()
    work = JOBS[REMIND]

    async def settle(done: Sequence[Done], tx: Tx) -> None:
        nonlocal told
        await work.settle(done, tx)
        told += len(done)
        if told >= count:
            all_told.set()

    settings = Settings(database_url="postgresql://unused", auth="off")
    worker = Worker(REMIND, replace(work, settle=settle), Context(settings, database))
    began, working = time.perf_counter(), asyncio.create_task(worker.run())
    async with asyncio.timeout(MINUTE):
        await all_told.wait()
    seconds = time.perf_counter() - began
    worker.stop()
    await working
    return seconds


async def _look(database: Database, count: int) -> float:
    """Read what waits, as every scrape and every `status` does; one reminder is always pending."""
    began = time.perf_counter()
    for _ in range(count):
        await backlog.look(database)
    return time.perf_counter() - began


def _rush(stage: Stage, results: Results, url: str, pending: int) -> None:
    """Have ten thousand come due at one instant, the worst minute that there can be."""
    count = stage.scale.of(10_000, 1_000)
    stage.sql(url, *ANEW)
    house = programs.house(stage, provider_rate=0)
    with ExitStack() as stack:
        stack.enter_context(stage.running(house["mail"]))
        stack.enter_context(stage.running(house["notifications"]))
        stage.settle()
        stage.tell(f"{count:,} due at once")
        stage.sql(url, ALL_DUE.format(count=count, step=pending // count))
        began = time.perf_counter()
        stack.enter_context(stage.running(programs.service(stage, "reminders", "jobs,relay", database=url)))
        asyncio.run(_told(stage, count))
        told = time.perf_counter() - began
        while stage.sql(stage.database("notifications"), MAILED) < count:
            if time.perf_counter() - began > 10 * MINUTE:
                raise RuntimeError("The mails did not go out in ten minutes.")
            time.sleep(0.2)
        mailed = time.perf_counter() - began
    needed = 10_000 / MINUTE
    for case, seconds in (("told", told), ("mailed", mailed)):
        words = f"{count:,} due at once, {case}"
        rate = count / seconds
        results.add(Row("reminders", words, rate, "10,000 a minute", needed, "reminders/s", rate / needed, 1.0))
        results.note(f"{words}: after {seconds:.1f} s, a process's start among them.")


async def _told(stage: Stage, count: int) -> None:
    async with events.Ends(stage.kafka.admin) as ends:
        await ends.reach(TOPIC, count, timeout=10 * MINUTE)
