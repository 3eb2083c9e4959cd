"""Measures how many orders a second are accepted, and how long the slowest wait.

Ours does everything that an accepted order needs (Idempotency-Key, price, order, timeline, job, event in the outbox);
the bare peer does one INSERT. What accepting costs when the same process also relays the events, as it does in
production by default, is shown beside it; so is what sealing costs: the same without a master key, and with a new
customer, and so a new data key, for each order (all other orders are one customer's).
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from bench import programs
from bench.result import Results, Row, figures
from bench.rounds import Contestant, Sample, Series, interleave
from bench.stage import Stage
from local.program import Program

CONNECTIONS = 64
KEYLESS = {"SLICELINE_MASTER_KEY": ""}
OUTBOX = "SELECT count(*) FROM outbox"


def run(stage: Stage) -> Results:
    results = Results()
    stage.migrate()
    bare, orm = stage.new_database("bare"), stage.new_database("orm")
    # Its own, because a relay takes whatever is in the outbox.
    relayed = stage.new_database("relayed", like="orders")
    # Where data keys are, nothing starts without a master key.
    plain = stage.new_database("unsealed", like="orders")
    for processes, words, goal in ((1, "one process", 1.4), (2, "two processes", 1.9)):
        crews = {
            "ours": [programs.service(stage, "orders", "api", label=f"ours {n}") for n in range(processes)],
            "bare": [programs.peer("bare", bare, label=f"bare {n}") for n in range(processes)],
        }
        if processes == 1:
            crews["orm"] = [programs.peer("orm", orm)]
            crews["unsealed"] = [
                programs.service(stage, "orders", "api", database=plain, label="unsealed", env=KEYLESS)
            ]
            crews["relaying"] = [programs.service(stage, "orders", "api,relay", database=relayed, label="relaying")]
        series = measure(stage, crews)
        judge(results, series, words, goal)
        series.account(results, f"accept, {words}")
    unrelayed = stage.sql(relayed, OUTBOX)
    results.note(f"The process that relays as well had {unrelayed:,.0f} events still unrelayed at the end.")
    results.note(f"The load itself manages {limit(stage):,.0f} requests/s against a server that does nothing.")
    return results


def measure(stage: Stage, crews: dict[str, list[Program]]) -> Series:
    with ExitStack() as stack:
        for crew in crews.values():
            for program in crew:
                stack.enter_context(stage.running(program))
        contestants = {name: contestant(stage, crew) for name, crew in crews.items()}
        if "unsealed" in crews:
            contestants["newcomers"] = contestant(stage, crews["ours"], newcomers=True)
        return interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)


def judge(results: Results, series: Series, words: str, goal: float) -> None:
    for peer, least in (("bare", goal), ("orm", None)):
        if peer in series.names:
            ours, theirs = series.value("ours"), series.value(peer)
            results.add(Row("accept", words, ours, peer, theirs, "orders/s", series.ratio("ours", peer), least))
    if "relaying" in series.names:
        relaying, theirs = series.value("relaying"), series.value("bare")
        ratio = series.ratio("relaying", "bare")
        results.add(Row("accept", f"{words}, relaying too", relaying, "bare", theirs, "orders/s", ratio, None))
    if "unsealed" in series.names:
        for name, what in (("ours", "sealing"), ("newcomers", "sealing, new customers")):
            ours, theirs, ratio = series.value(name), series.value("unsealed"), series.ratio(name, "unsealed")
            results.add(Row("accept", f"{words}, {what}", ours, "not sealing", theirs, "orders/s", ratio, None))
    ratio = series.ratio("ours", "bare", "p99", less=True)
    ours, theirs = series.value("ours", "p99"), series.value("bare", "p99")
    results.add(Row("accept", f"{words}, p99", ours, "bare", theirs, "ms", ratio, 0.9))
    for name in series.names:
        results.note(f"{words}, {name}: cores kept busy: {figures(series.cpu(name))}.")


def limit(stage: Stage) -> float:
    """Measure how many requests a second the load can send at most: it must not be the limit."""
    program = programs.peer("nothing", "")
    with stage.running(replace(program, ready=lambda: True)):
        return load(stage, [program]).value


def contestant(stage: Stage, crew: Sequence[Program], **how: Any) -> Contestant:
    """Make servers a contestant, under the load that `load` describes."""

    def measured() -> Sample:
        stage.settle()
        load(stage, crew, seconds=stage.scale.of(2, 0.5), **how)
        return load(stage, crew, **how)

    return measured


def load(
    stage: Stage, crew: Sequence[Program], *, seconds: float | None = None, newcomers: bool = False, token: str = ""
) -> Sample:
    """Keep every connection busy for some seconds. Raises RuntimeError for an order neither accepted nor told 429."""
    answer, reading = stage.call(
        "bench.load",
        {
            "ports": [program.port for program in crew],
            "path": "/orders",
            "body": programs.ORDER,
            "connections": CONNECTIONS,
            "seconds": seconds or stage.scale.of(8, 1.5),
            "newcomers": newcomers,
            "token": token,
        },
    )
    if not {"202"} <= set(answer["statuses"]) <= {"202", "429"}:
        raise RuntimeError(f"{crew[0].name} did not accept every order: {answer['statuses']}")
    cpu = {**reading.cpu, "load": answer["cpu"]}
    more = {name: answer[name] for name in ("p50", "p99", "succeeded")}
    return Sample(answer["rate"], replace(reading, cpu=cpu), more)
