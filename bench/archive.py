"""Measures whether the ledger keeps up with the order flow: how long after a burst it has kept the last event.

Everything that `up` runs runs here, and takes orders as fast as they are completed. What Kafka noted when it took an
event, and the ledger when it kept it, tell of each event how far behind the ledger was.
"""

import time

from bench import programs
from bench.result import Results, Row, better
from bench.stage import Stage

GOAL = 10.0
BEHIND = """
SELECT greatest(0.001, extract(epoch FROM max(archived_at) - max(recorded_at)))::float8 FROM events
"""
WORST = "SELECT extract(epoch FROM max(archived_at - recorded_at))::float8 FROM events"
RATE = """
SELECT count(*) / extract(epoch FROM max(recorded_at) - min(recorded_at))::float8 FROM events
"""
COUNT = "SELECT count(*) FROM events"
PATIENCE = 60.0


def run(stage: Stage) -> Results:
    results = Results()
    with programs.whole_shop(stage) as house:
        stage.tell("a burst of orders")
        request = {
            "port": house["orders"].port,
            "bootstrap": stage.bootstrap,
            "body": programs.ORDER,
            "open": stage.scale.of(400, 150),
            "warm": 0,
            "seconds": stage.scale.of(40, 8),
        }
        answer, _ = stage.call("bench.feeder", request)
        kept = _until_nothing_comes(stage)
    behind, worst, rate = (stage.sql(stage.database("ledger"), query) for query in (BEHIND, WORST, RATE))
    goal = better(behind, GOAL, less=True)
    results.add(Row("archive", "lag gone after the burst's end", behind, "the goal", GOAL, "s", goal, 1.0))
    results.note(f"{answer['orders']:,} orders, {kept:,} events, {rate:,.0f} a second; at worst {worst:.2f} s behind.")
    results.samples["archive"] = {"orders": answer["orders"], "events": kept, "rate": rate, "worst": worst}
    return results


def _until_nothing_comes(stage: Stage) -> int:
    """Return how many events are kept, once no more have come for some seconds. Raises TimeoutError."""
    stage.tell("waiting for the last event")
    deadline, before, still = time.monotonic() + PATIENCE, -1, 0
    while time.monotonic() < deadline:
        now: int = stage.sql(stage.database("ledger"), COUNT)
        still = still + 1 if now == before else 0
        if still == 3:
            return now
        before = now
        time.sleep(1)
    raise TimeoutError("events still come to the ledger")
