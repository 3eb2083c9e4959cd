"""Measures how many events a second are matched against all rules, and what more rules cost.

A figure is events per second of CPU time on one core, from the JSON of an event to the list of its rules. `mixed` are
rules of every kind about all of the shop's events; of the other kinds all rules are about one type of event, which is
the worst that can come. The peer asks rule after rule, as one would without an index.
"""

from collections.abc import Mapping
from typing import Any

from bench.result import Results, Row, better, short
from bench.rounds import Contestant, Sample, interleave
from bench.ruleset import KINDS
from bench.stage import Stage

GOAL = 50_000
CURVE = (10, 100, 1000, 10_000)


def run(stage: Stage) -> Results:
    results = Results()
    contestants = {f"{count:,} rules": _contestant(stage, "mixed", count) for count in CURVE}
    contestants["one by one"] = _contestant(stage, "mixed", 1000, indexed=False)
    series = interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
    ours, few, many = (series.value(f"{count:,} rules") for count in (1000, 10, 10_000))
    results.add(Row("rules", "1,000 rules", ours, f"{GOAL:,}/s", GOAL, "events/s", better(ours, GOAL), 1.0))
    ratio = series.ratio("1,000 rules", "one by one")
    results.add(Row("rules", "1,000 rules", ours, "one by one", series.value("one by one"), "events/s", ratio, 100.0))
    ratio = series.ratio("10,000 rules", "10 rules")
    results.add(Row("rules", "10,000 rules", many, "10 rules", few, "events/s", ratio, 0.2))
    curve = ", ".join(f"{count:,}: {1e6 / series.value(f'{count:,} rules'):.1f}" for count in CURVE)
    results.note(f"Microseconds an event, by rules: {curve}.")
    making = [series.value("10,000 rules", figure) for figure in ("parsing", "indexing")]
    results.note(f"10,000 rules take {making[0]:.2f} s to parse and {making[1]:.2f} s to index.")
    series.account(results, "rules")
    _tell_kinds(stage, results)
    return results


def _tell_kinds(stage: Stage, results: Results) -> None:
    """Note what each kind of condition costs, where all rules are about the same type of event."""
    for kind in KINDS[1:]:
        rates = [_sample(stage, kind, count).value for count in CURVE]
        results.samples[f"rules, {kind}"] = dict(zip(CURVE, rates, strict=True))
        results.note(f"{kind}, events/s by rules: " + ", ".join(f"{short(rate)}" for rate in rates) + ".")


def _contestant(stage: Stage, kind: str, count: int, *, indexed: bool = True) -> Contestant:
    return lambda: _sample(stage, kind, count, indexed=indexed)


def _sample(stage: Stage, kind: str, count: int, *, indexed: bool = True) -> Sample:
    request = {"kind": kind, "count": count, "seconds": stage.scale.of(2.0, 0.5), "indexed": indexed}
    found: Mapping[str, Any]
    found, reading = stage.call("bench.matching", request)
    return Sample(found["rate"], reading, found)
