"""Measures how fast parked events are handled again, and what they cost those of other keys while they are parked.

The kitchen has ten thousand events parked, ten of each order, and redrives them by one plan, as its job does. What it
has then is checked: every event once, each order's in their order. A consumer that has a thousand keys parked applies
events of other keys beside one that has none.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

import orjson

from backbone.consuming.batch import Batch, Letter, read
from backbone.consuming.batch_processor import BatchProcessor
from backbone.consuming.redrive import Plan, Redrive, begin
from backbone.ids import new_id
from backbone.observing import logs
from backbone.storage.database import Database
from bench import events
from bench.programs import ORDER
from bench.result import Results, Row, median
from bench.stage import Stage
from services.kitchen.service import SERVICE

TOPIC = "orders.events"
OF_EACH = 10
BATCH = 256
GOAL = 120.0
"""Seconds in which ten thousand are to be handled again."""
TOTALS = """
SELECT (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM parked_keys), (SELECT count(*) FROM inbox),
       (SELECT count(*) FROM tickets WHERE status = 'cancelled'), (SELECT count(*) FROM outbox),
       (SELECT count(DISTINCT aggregateid) FROM outbox)
"""
CUSTOMER = ORDER["customer"]
LINES = [{"item": "margherita", "quantity": 1, "unit_price": {"amount": 900, "currency": "GBP"}, "baked": True}]


def run(stage: Stage) -> Results:
    results = Results()
    stage.migrate()
    logs.start(SERVICE.name, "CRITICAL", "json")
    count = stage.scale.of(10_000, 2_000)
    parked = stage.new_database("kitchen_parked", like="kitchen")
    asyncio.run(_run(stage, stage.database("kitchen"), parked, results, count))
    return results


async def _run(stage: Stage, free_url: str, parked_url: str, results: Results, count: int) -> None:
    free, parked = (_Kitchen(Database(url, SERVICE.name)) for url in (free_url, parked_url))
    try:
        stage.tell(f"parking {count:,} events")
        await parked.park(count // OF_EACH)
        batches = stage.scale.of(40, 8)
        stage.tell("applying events of other keys")
        paces = [(await parked.pace(batches), await free.pace(batches)) for _ in range(stage.scale.rounds)]
        await parked.forget()
        stage.tell(f"redriving {count:,} events")
        seconds = await parked.redrive()
        await parked.check(count)
    finally:
        await free.close()
        await parked.close()
    ours, theirs = (median([each[at] for each in paces]) for at in (0, 1))
    case = f"other keys, {count // OF_EACH:,} parked"
    results.add(Row("redrive", case, ours, "none parked", theirs, "events/s", ours / theirs, 0.9))
    allowed = GOAL * count / 10_000
    results.add(Row("redrive", f"{count:,} parked events", seconds, "goal", allowed, "s", allowed / seconds, 1.0))
    results.samples["redrive"] = {"paces": paces, "seconds": seconds}


class _Kitchen:
    """Holds the kitchen's consumer and its place."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._processor = BatchProcessor(SERVICE.name, SERVICE.handlers, database)
        self._next = 0

    async def close(self) -> None:
        await self._database.close()

    async def forget(self) -> None:
        """Delete what was applied so far."""
        await self._database.fetch("TRUNCATE tickets, inbox, outbox")

    async def pace(self, batches: int) -> float:
        """Return how many events of keys that are not parked are applied in a second."""
        prepared = [[_confirmed(new_id()) for _ in range(BATCH)] for _ in range(batches)]
        began = time.perf_counter()
        for records in prepared:
            await self._processor.apply(self._batch(records))
        return batches * BATCH / (time.perf_counter() - began)

    async def park(self, orders: int) -> None:
        """Park the first event of each order, and what comes after it behind it."""
        keys = [new_id() for _ in range(orders)]
        for order in keys:
            await self._processor.park(self._batch([_confirmed(order)]), RuntimeError("the oven is broken"))
        behind = [_cancelled(order) for _ in range(OF_EACH - 1) for order in keys]
        for at in range(0, len(behind), BATCH):
            await self._processor.apply(self._batch(behind[at : at + BATCH]))

    async def redrive(self) -> float:
        """Redrive all that is parked; return how many seconds that took."""
        began = time.perf_counter()
        async with self._database.transaction() as tx:
            number = await begin(tx, SERVICE.name, Plan(), "bench")
        going = Redrive(self._database, SERVICE.name, SERVICE.handlers, number)
        while await going.step():
            pass
        return time.perf_counter() - began

    async def check(self, count: int) -> None:
        """Check that each event was applied once, and each order's in order. Raises RuntimeError.

        A cancellation before its confirmation would find no ticket, and one that came twice would tell twice.
        """
        (found,) = await self._database.fetch(TOTALS)
        orders = count // OF_EACH
        if tuple(found) != (0, 0, count, orders, orders, orders):
            raise RuntimeError(
                f"After the redrive there are {tuple(found)} letters, keys, occurrences, tickets, events"
            )

    def _batch(self, records: Iterable["_Record"]) -> Batch:
        start = self._next
        incoming = [read(self._placed(record), self._processor.views) for record in records]
        return Batch(incoming, {(TOPIC, 0): (start, self._next)})

    def _placed(self, record: "_Record") -> Letter:
        key, value, headers = record
        self._next += 1
        return Letter(TOPIC, 0, self._next - 1, key, value, headers)


_Record = tuple[bytes, bytes, Sequence[tuple[str, bytes]]]


def _confirmed(order: str) -> _Record:
    total = {"amount": 900, "currency": "GBP"}
    about = {"customer": CUSTOMER, "fulfilment": "delivery", "address": "1 Mill Lane"}
    return _record("order-confirmed.v2", {"order": order, **about, "lines": LINES, "total": total})


def _cancelled(order: str) -> _Record:
    return _record("order-cancellation-requested.v1", {"order": order, "customer": CUSTOMER, "reason": "It is late."})


def _record(event: str, data: dict[str, object]) -> _Record:
    event_type = f"sliceline.orders.{event}"
    key = str(data["order"])
    return events.record(event_type, orjson.dumps(data), key)
