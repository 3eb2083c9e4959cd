"""Measures what it costs to hold an event against its contract, beside decoding it.

A figure is microseconds of CPU time for one event, as a reader spends them: decoding is from the record to attributes
and data as a struct, the check is from the data's bytes to "it fits". Over the golden samples of every type.
"""

from bench.result import Results, Row, short
from bench.rounds import Sample, interleave
from bench.stage import Stage

MOST = 2.5
"""So many times as much as decoding a check may cost."""


def run(stage: Stage) -> Results:
    results = Results()
    series = interleave({"ours": lambda: _sample(stage)}, stage.scale.rounds, stage.tell, spare=stage.scale.spare)
    check, event, data = (series.value("ours", f"{figure} µs") for figure in ("check", "event", "data"))
    results.add(Row("contracts", "the check", check, "decoding the event", event, "µs", event / check, 1 / MOST))
    results.add(Row("contracts", "the check", check, "decoding its data alone", data, "µs", data / check))
    results.note(
        f"A check costs {short(check / event)} of decoding the event, {short(check / data)} of its data alone."
    )
    series.account(results, "contracts")
    return results


def _sample(stage: Stage) -> Sample:
    found, reading = stage.call("bench.checking", {"seconds": stage.scale.of(4.0, 1.0)})
    return Sample(1e6 / found["check µs"], reading, found)
