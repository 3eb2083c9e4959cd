"""Thirty times the usual rate, for a minute (quick: ten seconds), at the shop as `up` runs it.

Who is let in has to be answered soon; who is not is told 429, and when to come again. Then the backlog drains: every
order that was accepted comes to its end.
"""

import time
from collections.abc import Mapping
from typing import Any

from bench import programs
from bench.result import Results, Row, better
from bench.stage import Stage

USUAL, TIMES = 5.0, 30
SOON = 500.0
"""Milliseconds in which 99 of 100 accepted orders are to be answered."""
DRAINED_WITHIN = 600.0
OPEN = "SELECT count(*) FROM orders WHERE status NOT IN ('completed', 'rejected', 'cancelled')"


def run(stage: Stage) -> Results:
    results = Results()
    with programs.whole_shop(stage) as house:
        port = house["orders"].port
        usual = _load(stage, port, "the usual rate", USUAL, stage.scale.of(20, 5))
        burst = _load(stage, port, f"{TIMES} times the usual rate", USUAL * TIMES, stage.scale.of(60, 10))
        drained = _drain(stage)
    _judge(stage, results, usual, burst, drained)
    return results


def _load(stage: Stage, port: int | None, words: str, rate: float, seconds: float) -> dict[str, Any]:
    stage.tell(f"{words}: {rate:g} orders a second")
    request = {"ports": [port], "path": "/orders", "body": programs.ORDER, "seconds": seconds, "rate": rate}
    answer: dict[str, Any] = stage.call("bench.load", request)[0]
    return answer


def _drain(stage: Stage) -> float:
    """Return how many seconds pass until all orders have their end."""
    stage.tell("waiting until every order has its end")
    began = time.monotonic()
    while left := stage.sql(stage.database("orders"), OPEN):
        if time.monotonic() - began > DRAINED_WITHIN:
            raise RuntimeError(f"{left} orders have no end {DRAINED_WITHIN:g} s after the burst")
        time.sleep(0.5)
    return time.monotonic() - began


def _judge(stage: Stage, results: Results, usual: Mapping[str, Any], burst: Mapping[str, Any], drained: float) -> None:
    results.add(
        Row("burst", "accepted, p99", burst["p99"], "the goal", SOON, "ms", better(burst["p99"], SOON, less=True), 1.0)
    )
    useful = sum(burst["statuses"].get(status, 0) for status in ("202", "429"))
    share = useful / burst["sent"]
    results.add(Row("burst", "accepted, or told 429", 100 * share, "all", 100.0, "%", share, 1.0))
    accepted = usual["succeeded"] + burst["succeeded"]
    kept = stage.sql(stage.database("orders"), "SELECT count(*) FROM orders") / accepted
    results.add(Row("burst", "accepted orders that came to their end", 100 * kept, "all", 100.0, "%", kept, 1.0))
    for words, found in (("usual", usual), ("burst", burst)):
        statuses = ", ".join(f"{count:,} {status}" for status, count in sorted(found["statuses"].items()))
        results.note(
            f"{words}: {found['sent']:,} orders: {statuses}; p50 {found['p50']:,.0f} ms, p99 {found['p99']:,.0f}"
        )
    results.note(f"The backlog had drained {drained:,.0f} s after the burst.")
    results.samples.update({"usual": dict(usual), "burst": dict(burst), "drained": drained})
